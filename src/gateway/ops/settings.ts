/**
 * The settings of the process. Each comes from the first of these that names it: a flag, the environment (`TENSORGATE_*`),
 * the file `tensorgate.yaml`, its default. What a model is set to is another matter: `repository/model-config.ts`.
 */

import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import {
  HTTP2_LIMITS,
  type Http2Limit,
  type Http2LimitName,
  type Http2Limits,
  type Http2SettingName,
  http2SettingName,
} from '../../http2/limits.ts';
import { MAX_TIMER_MS } from '../../timer-limit.ts';
import { decodeText } from '../../wire/text-encoding.ts';
import {
  HTTP_LIMITS,
  type HttpLimitName,
  type HttpLimits,
  type HttpSettingName,
  httpSettingName,
} from '../accept/http/http-limits.ts';
import { suggestion } from '../repository/config/suggestion.ts';
import { parseYaml } from '../repository/config/yaml-document.ts';

const MiB = 2 ** 20;

const port = z.int().min(0).max(65_535);
const bytes = z.int().min(1);
const durationMs = z.int().min(0).max(MAX_TIMER_MS);
const limitMs = z.int().min(1).max(MAX_TIMER_MS);
const directory = z.string().min(1).meta({ format: 'path' });

/** A name, and a weight above 0. */
const TENANT_WEIGHT = /^(?<name>[^=,\s]+)=(?<weight>(?=[0-9.]*[1-9])[0-9]{1,6}(?:\.[0-9]{1,6})?)$/;

/** The limits of the transport h2, each as a setting. */
const HTTP2_FIELDS = Object.fromEntries(
  (Object.keys(HTTP2_LIMITS) as Http2LimitName[]).map((name) => [http2SettingName(name), fieldOf(HTTP2_LIMITS[name])]),
) as Record<Http2SettingName, z.ZodDefault<z.ZodInt>>;

/** The limits of the HTTP port, likewise. */
const HTTP_FIELDS = Object.fromEntries(
  (Object.keys(HTTP_LIMITS) as HttpLimitName[]).map((name) => [httpSettingName(name), fieldOf(HTTP_LIMITS[name])]),
) as Record<HttpSettingName, z.ZodDefault<z.ZodInt>>;

function fieldOf(limit: Http2Limit): z.ZodDefault<z.ZodInt> {
  const legal = z
    .int()
    .min(limit.minimum)
    .max(limit.maximum ?? Number.MAX_SAFE_INTEGER);
  return legal.default(limit.default).describe(limit.description);
}

/** Every setting, its legal values and its default. Names, flags, variables, help and `docs/configuration.md` follow from it. */
const SCHEMA = z.strictObject({
  modelRepository: directory.describe('Directory of the models: `<model>/<version>/model.onnx`.'),
  modelControlMode: z
    .enum(['none', 'poll', 'explicit'])
    .default('none')
    .describe(
      'Which models the server loads. `none`: all models in the repository at start. `poll`: all, and changes on disk are picked up while the server runs. `explicit`: only the models of `loadModel` and those that clients load.',
    ),
  loadModel: z
    .array(z.string().min(1))
    .default([])
    .describe('Models to load at start with control mode `explicit`; `*` loads all of them.'),
  repositoryPollSecs: z
    .int()
    .min(1)
    .max(86_400)
    .default(15)
    .describe('Seconds between two scans of the repository with control mode `poll`.'),
  loadOnDemand: z
    .boolean()
    .default(false)
    .describe(
      'With control mode `explicit`, load a model when the first request for it arrives; the request waits for the load.',
    ),
  maxLoadedModels: z
    .int()
    .min(0)
    .default(0)
    .describe(
      'Maximum number of loaded models. When another model is requested, the least recently used one is evicted; 0: no limit.',
    ),
  modelMemoryBytes: bytes
    .optional()
    .describe(
      'Memory that the runner processes of all loaded models may use. A load that does not fit is refused, unless models can be evicted as with `maxLoadedModels`. No limit by default.',
    ),
  allowModelUpload: z
    .boolean()
    .default(false)
    .describe(
      'Let a client that loads a model send its files. A model is a program: a client that may upload one may run code on this machine.',
    ),
  stateDirectory: directory
    .default('')
    .describe(
      'Directory for the state of rollouts, which survives a restart. Each server needs its own directory. Default: `.tensorgate` in the model repository.',
    ),
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on; `0.0.0.0` listens on every IPv4 address.'),
  grpcPort: port.default(8001).describe('gRPC port; 0 picks a free port.'),
  adminPort: port
    .optional()
    .describe(
      'Port for the RPCs that change the server: load, unload, rollout, trace and log settings. With an admin port, these RPCs are served only there; without one, on the gRPC port and over REST. 0 picks a free port.',
    ),
  httpPort: port
    .default(8002)
    .describe('HTTP port: `/metrics`, `/livez`, `/readyz`, and the REST API under `/v2`; 0 picks a free port.'),
  transport: z
    .enum(['h2', 'grpc-js'])
    .default('h2')
    .describe('gRPC transport: `h2` (built in, supports TLS) or `grpc-js` (reference, no TLS).'),
  tlsCertificate: directory
    .optional()
    .describe('PEM file with the certificate and its intermediate certificates. Without it, gRPC is cleartext.'),
  tlsPrivateKey: directory.optional().describe('PEM file with the private key of `tlsCertificate`.'),
  tlsClientCa: directory
    .optional()
    .describe(
      'PEM file with the root certificates for client certificates. With it, every client must present a certificate (mTLS).',
    ),
  controlPrincipals: z
    .array(z.string().regex(/^(URI|DNS|IP Address|email):./, 'expected TYPE:NAME'))
    .meta({ title: 'alternative names of certificates, as TYPE:NAME' })
    .default([])
    .describe(
      'Clients that may call the RPCs that change the server, as alternative names of their certificates: `URI:spiffe://cluster.local/ns/ops/sa/deployer` or `DNS:deployer.example.com`. Other clients get PERMISSION_DENIED before their message is read, and REST does not serve these calls. Needs `tlsClientCa`. Empty: every client may.',
    ),
  rest: z
    .enum(['on', 'off'])
    .default('on')
    .describe(
      'Serve the REST API on the HTTP port, in cleartext and to anyone who reaches it. With `tlsClientCa` the server starts only if this setting is given.',
    ),
  maxMessageBytes: bytes
    .max(2 ** 31 - 1)
    .default(64 * MiB)
    .describe('Maximum size of a request message, also after decompression.'),
  maxJsonBytes: bytes
    .max(2 ** 31 - 1)
    .default(64 * MiB)
    .describe(
      'Maximum size of the JSON of a REST request, also after decompression. The decoded tensors and binary data after the JSON count against `maxMessageBytes`.',
    ),
  maxOutputBytes: bytes
    .max(2 ** 31 - 1)
    .optional()
    .describe(
      'Maximum size of all outputs that a model computes for one request, requested or not. A request with larger outputs fails with RESOURCE_EXHAUSTED before anything is copied; a model that exceeds the limit with one row does not load. Raise it when responses are larger than requests.',
    ),
  maxConcurrentStreams: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .default(1_000)
    .describe('Maximum number of open calls per connection.'),
  maxInFlightBytes: bytes
    .default(512 * MiB)
    .describe(
      'Maximum size of all requests that are admitted and not yet answered. Requests above it are shed with RESOURCE_EXHAUSTED. If not set, at most a tenth of the memory.',
    ),
  defaultDeadlineMs: limitMs.default(30_000).describe('Deadline of a call that sets none.'),
  objectiveMs: limitMs
    .optional()
    .describe(
      'Target latency of a call that sets no deadline. It only decides whether the call is queued or refused with RESOURCE_EXHAUSTED; a call that runs is answered in any case. Lower it to refuse early under overload; raise it for clients that keep many calls open. `tensorgate.objective_ms` sets it per model.',
    ),
  maxDeadlineMs: limitMs
    .default(600_000)
    .describe(
      'Maximum deadline; longer deadlines are shortened to it. Also the maximum run time of a model without `max_run_ms`.',
    ),
  tenantKey: z
    .string()
    .regex(/^(?!.*-bin$)[0-9a-z_.-]*$/)
    .meta({ title: 'a metadata key in lower case, not one that ends in -bin' })
    .default('')
    .describe(
      'Metadata key that names the tenant, such as `x-tenant`. Each tenant has its own rate, and tenants share the queue of a model fairly. Empty: all calls belong to one tenant without a rate. Behind a proxy, let the proxy set the key, because a client can name any tenant.',
    ),
  tenantRate: z
    .int()
    .min(0)
    .max(1_000_000_000)
    .default(100)
    .describe('Requests per second of a tenant with weight 1; 0: no rate, only a fair share of the queue.'),
  tenantBurst: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .default(100)
    .describe('Requests that a tenant with weight 1 may send at once after a pause.'),
  tenantWeights: z
    .array(z.string().regex(TENANT_WEIGHT, 'expected name=weight'))
    .meta({ title: 'texts of the form name=weight' })
    .default([])
    .describe(
      'Weights of named tenants, as `name=weight`. The weight multiplies the rate, the burst and the share of the queue. All other tenants share one rate, `other`, with weight 1; in the queue each of them has its own share.',
    ),
  drainTimeoutMs: durationMs
    .default(30_000)
    .describe(
      'Time after SIGTERM and `lameDuckMs` to answer accepted calls and deliver the answers. The process exits at most 0.5 s later.',
    ),
  lameDuckMs: durationMs
    .default(0)
    .describe(
      'Time after SIGTERM during which calls are still accepted while `/readyz` already fails. Set 5000 or more behind a load balancer.',
    ),
  runnerStartTimeoutMs: limitMs.default(120_000).describe('Maximum time to load a model.'),
  mailboxDirectory: directory
    .default('/dev/shm')
    .describe(
      'Directory on a memory file system where the gateway and its runners exchange tensors. It needs room for the largest request with its outputs, times the number of batches that run at once; a batch without room waits. Its memory counts as memory of the container.',
    ),
  executionProviders: z
    .array(z.enum(['cpu', 'cuda', 'tensorrt']))
    .min(1)
    .default(['cpu'])
    .describe('Execution providers of ONNX Runtime, in order of preference.'),
  strictExecutionProviders: z
    .boolean()
    .default(false)
    .describe('Fail to load a model when its preferred provider is not available, instead of falling back.'),
  strictReadiness: z
    .boolean()
    .default(true)
    .describe(
      '`true`: the server is ready only while every model is READY. `false`: ready once every model was tried and while at least one is READY.',
    ),
  typedAnswers: z
    .enum(['as-requested', 'never'])
    .default('as-requested')
    .describe(
      '`as-requested`: a request with typed contents gets typed contents back. `never`: responses always carry raw contents.',
    ),
  loadReports: z
    .enum(['off', 'as-requested', 'always'])
    .default('as-requested')
    .describe(
      'Load reports (ORCA) in responses. `off`: never. `as-requested`: for callers that send the metadata key `endpoint-load-metrics-format`. `always`: for every caller, as needed by load balancers that do not send the key. `xds.service.orca.v3.OpenRcaService` is served unless it is `off`.',
    ),
  record: z
    .int()
    .min(0)
    .max(100_000)
    .default(0)
    .describe(
      'Number of request rows to keep per model, for calibration and comparison: a uniform sample of all requests since the start. The rows contain client data; 0: none.',
    ),
  recordDirectory: directory
    .optional()
    .describe('Directory for recorded rows, as `<model>/row-N.npz`, readable only by the user of the server.'),
  logLevel: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('Least severe level to log.'),
  logFormat: z.enum(['json', 'text']).default('json').describe('Format of the log lines on stderr.'),
  ...HTTP2_FIELDS,
  ...HTTP_FIELDS,
});

export type Settings = Readonly<z.output<typeof SCHEMA>>;

/** The limits of the transport h2 that are in force. */
export function http2Limits(settings: Pick<Settings, Http2SettingName>): Http2Limits {
  const names = Object.keys(HTTP2_LIMITS) as Http2LimitName[];
  return Object.fromEntries(names.map((name) => [name, settings[http2SettingName(name)]])) as Http2Limits;
}

/** The limits of the HTTP port that are in force. */
export function httpLimits(settings: Pick<Settings, HttpSettingName>): HttpLimits {
  const names = Object.keys(HTTP_LIMITS) as HttpLimitName[];
  return Object.fromEntries(names.map((name) => [name, settings[httpSettingName(name)]])) as HttpLimits;
}

/** Bytes that the outputs of one request may have. */
export function outputLimit({
  maxOutputBytes,
  maxMessageBytes,
}: Pick<Settings, 'maxOutputBytes' | 'maxMessageBytes'>): number {
  return maxOutputBytes ?? maxMessageBytes;
}

/** The tenants with a share of their own, by name; of one that is listed twice the last. */
export function tenantWeights({ tenantWeights: listed }: Pick<Settings, 'tenantWeights'>): ReadonlyMap<string, number> {
  const pairs = listed.map((text) => TENANT_WEIGHT.exec(text)?.groups ?? {});
  return new Map(pairs.map(({ name = '', weight }) => [name, Number(weight)]));
}

/** A setting as a command line shows it. */
export interface SettingDescription {
  /** Its name in `tensorgate.yaml`. */
  readonly key: keyof Settings;
  /** Such as `--grpc-port`. */
  readonly flag: string;
  /** Such as `TENSORGATE_GRPC_PORT`. */
  readonly env: string;
  readonly type: 'boolean' | 'integer' | 'path' | 'string';
  /** Takes several values: separated by commas in flags and variables. */
  readonly list: boolean;
  /** What its texts are, where not any will do. */
  readonly form?: string;
  /** The only legal values. */
  readonly choices?: readonly string[];
  /** The legal range of an integer. */
  readonly minimum?: number;
  readonly maximum?: number;
  /** Whether it has to be given. */
  readonly required: boolean;
  /** `undefined`: there is none, and what it is about is off, or it is derived. */
  readonly default: boolean | number | string | readonly string[] | undefined;
  /** What the default is, where it follows from another setting. */
  readonly derivedDefault?: string;
  readonly description: string;
}

/** The settings whose default follows from another. */
const DERIVED_DEFAULTS: ReadonlyMap<string, string> = new Map<keyof Settings, string>([
  ['maxOutputBytes', 'the value of `maxMessageBytes`'],
  ['objectiveMs', 'ten times the predicted run time of the call, and at least 250'],
]);

/** What zod says of a field, in the terms of JSON Schema. */
interface FieldSchema {
  readonly type: 'array' | 'boolean' | 'integer' | 'string';
  readonly description: string;
  readonly title?: string;
  readonly format?: 'path';
  readonly enum?: readonly string[];
  readonly items?: { readonly enum?: readonly string[] };
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: SettingDescription['default'];
}

/** `tensorgate.yaml` as a JSON Schema: nothing has to be in it, because flags and variables count too. */
const { required: _, ...FILE_JSON_SCHEMA } = z.toJSONSchema(SCHEMA, { io: 'input' });

export { FILE_JSON_SCHEMA };

/** Every setting, in the order of the documentation. */
export const SETTINGS: readonly SettingDescription[] = Object.entries(
  FILE_JSON_SCHEMA.properties as Record<keyof Settings, FieldSchema>,
).map(([key, field]) => {
  const words = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const choices = field.enum ?? field.items?.enum;
  const derivedDefault = DERIVED_DEFAULTS.get(key);
  return {
    key: key as keyof Settings,
    flag: `--${words}`,
    env: `TENSORGATE_${words.toUpperCase().replaceAll('-', '_')}`,
    type: field.type === 'array' ? 'string' : (field.format ?? field.type),
    list: field.type === 'array',
    ...(field.title === undefined ? {} : { form: field.title }),
    ...(choices === undefined ? {} : { choices }),
    ...(field.minimum === undefined ? {} : { minimum: field.minimum }),
    ...(field.maximum === undefined ? {} : { maximum: field.maximum }),
    required: !SCHEMA.shape[key as keyof Settings].safeParse(undefined).success,
    default: field.default,
    ...(derivedDefault === undefined ? {} : { derivedDefault }),
    description: field.description,
  };
});

/** The settings are wrong. Each problem is a line: where, what is wrong, and what would be right. */
export class SettingsError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'SettingsError';
    this.problems = problems;
  }
}

/** Where settings come from. */
export interface SettingsSources {
  /** By key; values are texts or what they stand for. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** A file that has to exist. Without it, `tensorgate.yaml` in `cwd` is read where there is one. */
  readonly file?: string;
  /** Paths in flags and variables are relative to it; those in the file to the file. */
  readonly cwd: string;
}

/** A setting in force. */
export interface SettingInForce {
  readonly key: keyof Settings;
  /** `undefined` where it would have to be given, and is not. */
  readonly value: unknown;
  /** A flag, a variable, the path of a file, or `default`. */
  readonly origin: string;
}

const FILE_NAME = 'tensorgate.yaml';
/** Of the other commands: it says where a client finds a server. */
const CLIENT_VARIABLE = 'TENSORGATE_URL';

/** What would be in vain in another control mode. */
const EXPLICIT_ONLY = ['loadModel', 'loadOnDemand'] as const;

function isSaid(value: boolean | readonly string[]): boolean {
  return typeof value === 'boolean' ? value : value.length > 0;
}

/** @throws SettingsError with every problem that there is */
export function loadSettings(sources: SettingsSources): Settings {
  const given = readSources(sources);
  if (!given.has('modelRepository')) {
    const text = `no model repository: give --model-repository DIR, TENSORGATE_MODEL_REPOSITORY or modelRepository in ${FILE_NAME}`;
    throw new SettingsError([text]);
  }
  const settings = SCHEMA.parse(Object.fromEntries([...given].map(([key, { value }]) => [key, value])));
  const vain = settings.modelControlMode === 'explicit' ? [] : EXPLICIT_ONLY.filter((key) => isSaid(settings[key]));
  if (vain.length > 0) {
    const where = `is for modelControlMode explicit, not ${settings.modelControlMode}`;
    throw new SettingsError(vain.map((key) => `${given.get(key)?.origin}: ${key} ${where}`));
  }
  const limits = settings.transport === 'h2' ? [] : (Object.keys(HTTP2_FIELDS) as Http2SettingName[]);
  const idle = limits.filter((key) => given.has(key));
  if (idle.length > 0) {
    throw new SettingsError(idle.map((key) => `${given.get(key)?.origin}: ${key} is for the transport h2`));
  }
  if (settings.record > 0 && settings.recordDirectory === undefined) {
    throw new SettingsError([`${given.get('record')?.origin}: record needs recordDirectory: say where rows are kept`]);
  }
  if (settings.record === 0 && settings.recordDirectory !== undefined) {
    const text = `${given.get('recordDirectory')?.origin}: recordDirectory is for record above 0: say how many rows are kept`;
    throw new SettingsError([text]);
  }
  refuseUnguardedRest(settings, given);
  if (settings.httpMaxRequests >= settings.httpMaxConnections) {
    const { httpMaxRequests: requests, httpMaxConnections: connections } = settings;
    const origin = (given.get('httpMaxRequests') ?? given.get('httpMaxConnections'))?.origin;
    const text = `httpMaxRequests ${requests} must be below httpMaxConnections ${connections}: probes and metrics get the rest`;
    throw new SettingsError([`${origin}: ${text}`]);
  }
  Object.freeze(settings.executionProviders);
  Object.freeze(settings.loadModel);
  Object.freeze(settings.tenantWeights);
  Object.freeze(settings.controlPrincipals);
  return Object.freeze(settings);
}

/**
 * gRPC that demands client certificates, beside REST that answers anyone in cleartext, must be a decision: the default of
 * `rest` is none. Loopback is no exception, because other users of the machine and other containers of the pod reach it.
 */
function refuseUnguardedRest({ rest, tlsCertificate, tlsClientCa }: Settings, given: GivenSettings): void {
  if (rest === 'off' || given.has('rest') || tlsCertificate === undefined || tlsClientCa === undefined) return;
  const text =
    'gRPC demands client certificates, but REST on the HTTP port would answer anyone in cleartext: give --rest off, or --rest on if the network guards that port';
  throw new SettingsError([`${given.get('tlsClientCa')?.origin}: ${text}`]);
}

/**
 * The value of each setting and where it comes from, for `--print-config`.
 * @throws SettingsError as `loadSettings` does, except that nothing has to be given
 */
export function describeSettings(sources: SettingsSources): readonly SettingInForce[] {
  const given = readSources(sources);
  return SETTINGS.map(({ key, default: value }) => ({ key, ...(given.get(key) ?? { value, origin: 'default' }) }));
}

/** The settings that some source names. @throws SettingsError as `describeSettings` does */
export function givenSettings(sources: SettingsSources): ReadonlySet<keyof Settings> {
  return new Set(readSources(sources).keys());
}

interface Given {
  readonly value: unknown;
  readonly origin: string;
}

type GivenSettings = ReadonlyMap<keyof Settings, Given>;

function readSources(sources: SettingsSources): GivenSettings {
  const problems: string[] = [];
  const layers = [readFile(sources, problems), readEnvironment(sources, problems), readFlags(sources, problems)];
  if (problems.length > 0) throw new SettingsError(problems);
  return new Map(layers.flatMap((layer) => [...layer]));
}

/** The schema without defaults, so that what a source does not say can be told from what it says. */
const FILE_SCHEMA = z.strictObject(
  Object.fromEntries(
    SETTINGS.map((setting) => {
      const field = SCHEMA.shape[setting.key];
      const own = z.optional(field instanceof z.ZodDefault ? field.unwrap() : field);
      return [setting.key, setting.choices === undefined ? own : z.preprocess((value) => chosen(setting, value), own)];
    }),
  ),
);

function readFile({ file, cwd }: SettingsSources, problems: string[]): GivenSettings {
  const name = file ?? FILE_NAME;
  const filePath = path.resolve(cwd, name);
  let text: string;
  try {
    text = decodeText(fs.readFileSync(filePath));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' || file !== undefined) problems.push(`${name}: cannot be read: ${code}`);
    return new Map();
  }
  const parsed = parseYaml(text, name, FILE_SCHEMA);
  if (parsed.kind === 'problems') {
    problems.push(...parsed.problems);
    return new Map();
  }
  const given = new Map<keyof Settings, Given>();
  for (const setting of SETTINGS) {
    const value = parsed.value[setting.key];
    if (value === undefined) continue;
    given.set(setting.key, { value: locate(setting, value, path.dirname(filePath)), origin: name });
  }
  return given;
}

function readEnvironment({ env, cwd }: SettingsSources, problems: string[]): GivenSettings {
  const given = new Map<keyof Settings, Given>();
  for (const setting of SETTINGS) {
    const origin = [setting.env, ...platformVariables(setting, env)].find((name) => isGiven(name, env[name]));
    if (origin === undefined) continue;
    // Secrets and `.env` files often end in a line break.
    const value = check(setting, env[origin]?.trim(), origin, problems);
    given.set(setting.key, { value: locate(setting, value, cwd), origin });
  }
  const known = SETTINGS.map((setting) => setting.env);
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('TENSORGATE_') || known.includes(name) || name === CLIENT_VARIABLE) continue;
    if (isGiven(name, value)) problems.push(`${name}: there is no such setting${suggestion(name, known)}`);
  }
  return given;
}

/** Variables of the platform that count below ours. They are meant for every program: one that says nothing to us is ignored. */
function platformVariables(setting: SettingDescription, env: SettingsSources['env']): readonly string[] {
  if (setting.key !== 'logLevel') return [];
  const isLevel = setting.choices?.includes(choiceOf(setting, env['LOG_LEVEL']?.trim() ?? ''));
  return isLevel === true ? ['LOG_LEVEL'] : [];
}

function readFlags({ flags, cwd }: SettingsSources, problems: string[]): GivenSettings {
  const given = new Map<keyof Settings, Given>();
  for (const setting of SETTINGS) {
    if (flags[setting.key] === undefined) continue;
    const value = check(setting, flags[setting.key], setting.flag, problems);
    given.set(setting.key, { value: locate(setting, value, cwd), origin: setting.flag });
  }
  return given;
}

/**
 * Whether a variable says something. An empty one does not, nor do those by which Kubernetes tells every pod of the Services
 * of its namespace: one named `tensorgate-grpc` would set TENSORGATE_GRPC_PORT to `tcp://10.0.0.1:8001`.
 */
function isGiven(name: string, value: string | undefined): boolean {
  if (value === undefined || value.trim() === '') return false;
  const isServiceLink = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name);
  return !isServiceLink && !/^(tcp|udp|sctp):\/\//.test(value);
}

/** What a flag or variable stands for; where that is not legal, the problem. */
function check(setting: SettingDescription, given: unknown, origin: string, problems: string[]): unknown {
  const result = SCHEMA.shape[setting.key].safeParse(typeof given === 'string' ? parseText(setting, given) : given);
  if (result.success) return result.data;
  const got = String(given).slice(0, 100);
  const hint = setting.choices === undefined || setting.list ? '' : suggestion(got, setting.choices);
  problems.push(`${origin}: expected ${legalValues(setting)}, got '${got}'${hint.startsWith('; did') ? hint : ''}`);
  return undefined;
}

function parseText(setting: SettingDescription, text: string): unknown {
  const { type, list } = setting;
  if (list) return text.split(',').map((part) => choiceOf(setting, part.trim()));
  if (type === 'integer' && /^-?\d+$/.test(text)) return Number(text);
  if (type === 'boolean' && /^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  return choiceOf(setting, text);
}

/** A value of the file, where choices may have any case, in lists too. */
function chosen(setting: SettingDescription, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => chosen(setting, item));
  return typeof value === 'string' ? choiceOf(setting, value) : value;
}

/** The choice that a text names, in capitals or not; otherwise the text itself. */
function choiceOf({ choices = [] }: Pick<SettingDescription, 'choices'>, text: string): string {
  return choices.find((choice) => choice.toLowerCase() === text.toLowerCase()) ?? text;
}

/** Such as `a whole number from 0 to 65535`. */
export function legalValues({ type, list, form, choices, minimum, maximum }: SettingDescription): string {
  if (list)
    return `${choices === undefined ? (form ?? 'texts') : `some of ${choices.join(', ')}`}, separated by commas`;
  if (choices !== undefined) return `one of ${choices.join(', ')}`;
  if (type === 'boolean') return 'true or false';
  if (type !== 'integer') return form ?? `a ${type}`;
  return maximum === Number.MAX_SAFE_INTEGER
    ? `a whole number from ${minimum}`
    : `a whole number from ${minimum} to ${maximum}`;
}

function locate({ type }: SettingDescription, value: unknown, base: string): unknown {
  return type === 'path' && typeof value === 'string' ? path.resolve(base, value) : value;
}
