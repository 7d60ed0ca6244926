/**
 * The settings of the process: every setting, its legal values and its default. `settings-sources.ts` reads them from flags, the
 * environment and `tensorgate.yaml`. The settings of a model are in `repository/config/model-config.ts`.
 */

import { z } from 'zod';
import { MAILBOX_DIRECTORY } from '../../mailbox-directory.ts';
import { MAX_TIMER_MS } from '../../timer-limit.ts';
import { HTTP_LIMIT_SETTINGS, HTTP2_LIMIT_SETTINGS } from './limit-settings.ts';
import { WEB_SETTINGS } from './web-settings.ts';

const MiB = 2 ** 20;

const port = z.int().min(0).max(65_535);
const bytes = z.int().min(1);
const durationMs = z.int().min(0).max(MAX_TIMER_MS);
const limitMs = z.int().min(1).max(MAX_TIMER_MS);
const directory = z.string().min(1).meta({ format: 'path' });

/** A name, and a weight above 0. */
const TENANT_WEIGHT = /^(?<name>[^=,\s]+)=(?<weight>(?=[0-9.]*[1-9])[0-9]{1,6}(?:\.[0-9]{1,6})?)$/;

/** Every setting, its legal values and its default. Names, flags, variables, help and `docs/configuration.md` follow from it. */
export const SETTINGS_SCHEMA = z.strictObject({
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
  allowCodeModels: z
    .boolean()
    .default(false)
    .describe(
      'Run models that are JavaScript or TypeScript (platform `tensorgate_javascript`). Their code runs with the rights of the server. It is taken only from the model repository, never from clients.',
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
    .describe(
      'HTTP port: `/metrics`, `/livez`, `/readyz`, the REST API under `/v2`, and texts under `/v1`; 0 picks a free port.',
    ),
  transport: z
    .enum(['h2', 'grpc-js'])
    .default('h2')
    .describe('gRPC transport: `h2` (built in, supports TLS) or `grpc-js` (reference, no TLS).'),
  acceptors: z
    .union([z.int().min(1).max(64), z.literal('auto')])
    .default(1)
    .describe(
      'Threads that accept gRPC connections, speak HTTP/2 and TLS, and read messages. With 1, the thread that schedules requests does it too. More than 1 raise the number of calls that a machine of many cores can take ([transport](transport.md#acceptors)); a connection belongs to one of them. `auto`: one for every four cores, at most 4. Needs the transport `h2`, and Linux, FreeBSD or another system that spreads connections over listeners.',
    ),
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
  ...WEB_SETTINGS,
  ui: z
    .enum(['on', 'off'])
    .default('on')
    .describe(
      'Serve a page at `/` of the HTTP port that shows models, latencies, batches, rollouts and their reasons, in cleartext and to anyone who reaches that port. It changes nothing that the REST API does not let the same reader change.',
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
    .default(MAILBOX_DIRECTORY)
    .describe(
      'Directory on a memory file system where the gateway and its runners exchange tensors; without `/dev/shm`, the default is the directory for temporary files. It needs room for the largest request with its outputs, times the number of batches that run at once; a batch without room waits. Its memory counts as memory of the container.',
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
  accessLog: z
    .union([z.int().min(1).max(1_000_000), z.enum(['off', 'errors'])])
    .default('off')
    .describe(
      'Log calls, one line each, whatever `logLevel` is ([observability](observability.md#access-log)). `errors`: calls that fail, at most 100 a second. A number N: also one of N calls that are answered; 1 logs all of them.',
    ),
  ...HTTP2_LIMIT_SETTINGS,
  ...HTTP_LIMIT_SETTINGS,
});

export type Settings = Readonly<z.output<typeof SETTINGS_SCHEMA>>;

/** Settings as they are given: those with a default may be left out. */
export type SettingsInput = Readonly<z.input<typeof SETTINGS_SCHEMA>>;

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
