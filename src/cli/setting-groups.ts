import type { SettingDescription } from '../gateway/ops/setting-description.ts';

type Key = SettingDescription['key'];

/** The settings that most people use, in the order of the help. */
const COMMON: readonly Key[] = [
  'modelRepository',
  'modelControlMode',
  'loadModel',
  'host',
  'grpcPort',
  'httpPort',
  'executionProviders',
  'logLevel',
];

/** The headings of the help after the common options, each with its settings. */
const GROUPS: ReadonlyMap<string, readonly Key[]> = new Map<string, readonly Key[]>([
  [
    'Models:',
    [
      'repositoryPollSecs',
      'loadOnDemand',
      'maxLoadedModels',
      'modelMemoryBytes',
      'allowModelUpload',
      'allowCodeModels',
      'stateDirectory',
      'strictReadiness',
    ],
  ],
  ['Runners:', ['strictExecutionProviders', 'runnerStartTimeoutMs', 'mailboxDirectory']],
  [
    'Ports, TLS and access:',
    [
      'adminPort',
      'transport',
      'acceptors',
      'tlsCertificate',
      'tlsPrivateKey',
      'tlsClientCa',
      'controlPrincipals',
      'rest',
      'healthRoute',
      'predictRoute',
      'corsOrigins',
      'ui',
    ],
  ],
  [
    'Deadlines and the end of the server:',
    ['defaultDeadlineMs', 'maxDeadlineMs', 'objectiveMs', 'drainTimeoutMs', 'lameDuckMs'],
  ],
  [
    'Requests and responses:',
    ['maxMessageBytes', 'maxJsonBytes', 'maxOutputBytes', 'maxConcurrentStreams', 'maxInFlightBytes', 'typedAnswers'],
  ],
  ['Tenants:', ['tenantKey', 'tenantRate', 'tenantBurst', 'tenantWeights']],
  ['Logs, reports and recordings:', ['logFormat', 'accessLog', 'loadReports', 'record', 'recordDirectory']],
]);

const GRPC_LIMITS = 'Limits of the gRPC transport h2:';
const HTTP_LIMITS = 'Limits of the HTTP port:';
const OTHERS = 'Other settings:';

/** The heading of a setting in the help; `undefined` for the common ones, which come first. */
export function settingGroup(key: Key): string | undefined {
  if (COMMON.includes(key)) return undefined;
  for (const [heading, keys] of GROUPS) if (keys.includes(key)) return heading;
  if (key.startsWith('http2')) return GRPC_LIMITS;
  return key.startsWith('http') ? HTTP_LIMITS : OTHERS;
}

/** Puts settings into the order of the help: the common ones, then group by group. */
export function inHelpOrder<Setting extends { readonly key: Key }>(settings: readonly Setting[]): readonly Setting[] {
  const order = [...COMMON, ...[...GROUPS.values()].flat()];
  const rank = ({ key }: Setting): number => (order.includes(key) ? order.indexOf(key) : order.length);
  return settings.toSorted((a, b) => rank(a) - rank(b));
}
