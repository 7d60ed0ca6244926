/** The composition root: puts the parts of a server together, and takes them apart again. */

import path from 'node:path';
import { MAX_TIMER_MS } from '../timer-limit.ts';
import type { Routes, Transport } from './accept/call.ts';
import { controlScreen } from './accept/control-screen.ts';
import { Health } from './accept/health-service.ts';
import { type HttpPort, listenHttp } from './accept/http/http-port.ts';
import { inferenceRoutes, type Offer } from './accept/inference-service.ts';
import { LoadReports } from './accept/load-reports.ts';
import { OpenRca } from './accept/open-rca-service.ts';
import { reflectionRoutes } from './accept/reflection-service.ts';
import { RestServer } from './accept/rest/rest-server.ts';
import { rolloutRoutes } from './accept/rollout-service.ts';
import { trafficRoutes } from './accept/traffic-service.ts';
import { Admission } from './admit/admission.ts';
import { Pressure } from './admit/early-refusal.ts';
import { RateLimit } from './admit/rate-limit.ts';
import { controlApi } from './api/control-api.ts';
import { inferenceApi } from './api/inference-api.ts';
import { operationsPages } from './api/operations-pages.ts';
import { rolloutApi } from './api/rollout-api.ts';
import { trafficApi } from './api/traffic-api.ts';
import { tritonMetrics } from './api/triton-metrics.ts';
import { DeviceSet } from './dispatch/device-set.ts';
import { RunnerSet } from './dispatch/runner-set.ts';
import { InferError } from './errors.ts';
import { InputRecorder } from './models/input-recorder.ts';
import { ModelLifecycle } from './models/lifecycle/model-lifecycle.ts';
import { ModelMemory, type Occupant } from './models/lifecycle/model-memory.ts';
import { OnDemand } from './models/lifecycle/on-demand.ts';
import { servableFactory } from './models/lifecycle/servable-factory.ts';
import { LoadMeter } from './models/load-meter.ts';
import { MessageLimits } from './models/message-limits.ts';
import { planDefaults } from './models/model-plan.ts';
import { ModelTable } from './models/model-table.ts';
import { Readiness } from './models/readiness.ts';
import type { CapacityFinding } from './ops/capacity.ts';
import { checkMailboxDirectory } from './ops/diagnosis/mailbox-directory.ts';
import { diagnostics, type ModelState } from './ops/diagnostics.ts';
import { tuneCollections } from './ops/garbage-collection.ts';
import type { GatewayState, TransportLoad } from './ops/gateway-state.ts';
import { collectWhenIdle } from './ops/idle-collection.ts';
import { httpLimits } from './ops/limit-settings.ts';
import { usableCores } from './ops/machine-capacity.ts';
import { type Settings, tenantWeights } from './ops/settings.ts';
import { startTelemetry } from './ops/telemetry.ts';
import { Rollouts } from './rollout/rollouts.ts';
import { Shadows } from './rollout/shadow.ts';
import { StateDirectory } from './rollout/state-directory.ts';
import { chooseTransport } from './transport.ts';

/** What the server takes from its surroundings; only entry files read `process`. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  /** Version of the package. */
  readonly version: string;
  /** What the machine lends and the settings take of it, for the log. */
  readonly capacity?: readonly CapacityFinding[];
}

export interface ModelSummary {
  readonly name: string;
  /** Empty for a model without any usable version. */
  readonly version: string;
  readonly state: ModelState;
  /** It answers requests that name no version. */
  readonly default: boolean;
  /** Such as `2 instances on cpu, batching on (axis 0, max 64 rows, delay 0 us)`, or why it does not serve. */
  readonly detail: string;
}

export interface Server {
  readonly host: string;
  readonly grpcPort: number;
  /** Where the RPCs are that change the server, if not on the port of gRPC. */
  readonly adminPort: number | undefined;
  readonly httpPort: number;
  /** Resolves, never rejects, when every model is READY or has failed. */
  readonly loaded: Promise<void>;
  models(): readonly ModelSummary[];
  /**
   * Drains: readiness goes, accepted requests are answered, everything ends. Resolves after that: at the latest `CLOSING_MS` after
   * `lameDuckMs` and `drainTimeoutMs`, unless something that it waits for hangs.
   */
  stop(): Promise<void>;
  /** Kills every runner, also one that is stopped: to be called when the process must not wait for `stop`. */
  kill(): void;
}

/**
 * Binds both ports, and loads the models of the repository behind them.
 * @throws RepositoryError where there is no such repository, or an Error that names a port that cannot be bound.
 */
export async function startServer(settings: Settings, surroundings: Surroundings): Promise<Server> {
  const { env, version, capacity = [] } = surroundings;
  const listen = await chooseTransport(settings);
  tuneCollections();
  const stopCollecting = collectWhenIdle();
  const runners = new RunnerSet(env);
  const devices = new DeviceSet(usableCores());
  const admission = new Admission(settings.maxInFlightBytes);
  const models = new ModelTable();
  const shadows = new Shadows(models, admission);
  const memory = new ModelMemory(settings.modelMemoryBytes);
  const lifecycle = new ModelLifecycle(models, servableFactory(runners, devices, { models, admission }), {
    repository: settings.modelRepository,
    mode: settings.modelControlMode,
    initial: settings.loadModel,
    pollIntervalMs: settings.repositoryPollSecs * 1_000,
    allowsUpload: settings.allowModelUpload,
    onDemand: settings.loadOnDemand,
    memory,
    defaults: planDefaults(settings),
  });
  // Before anything is read, so that what is wrong with it gets into the log.
  const bound: Transport[] = [];
  let httpPort: HttpPort | undefined;
  const state = async () => ({
    ...stateOf(models, admission, bound, await memory.recent()),
    http: httpPort?.load,
  });
  const telemetry = await startTelemetry({ env, version, settings, state });
  const rollouts = new Rollouts(models, lifecycle, new StateDirectory(stateDirectoryOf(settings)), {
    onDemand: settings.loadOnDemand,
  });
  await rollouts.resume();
  await lifecycle.plan().catch(async (error: unknown) => {
    await telemetry.shutdown();
    throw error;
  });
  for (const { subject, text, advice } of capacity) {
    const level = advice === undefined ? 'info' : 'warn';
    diagnostics.notice.publish({ level, text: `${subject}: ${text}${advice === undefined ? '' : `; ${advice}`}` });
  }
  warnOfMailboxes(settings);
  const health = new Health();
  const readiness = new Readiness(models, health, settings.strictReadiness ? 'strict' : 'lenient');
  const loadMeter =
    settings.loadReports === 'off'
      ? undefined
      : new LoadMeter(() => models.all().flatMap(({ occupancy }) => occupancy ?? []));
  const loadReports = new LoadReports(settings.loadReports, loadMeter ?? { report: undefined });
  const openRca = new OpenRca(loadReports);
  const recorder = recorderOf(settings);
  const api = inferenceApi(
    {
      limits: new MessageLimits(models),
      maxMessageBytes: settings.maxMessageBytes,
      models,
      admission,
      rateLimit: rateLimitOf(settings),
      pressure: new Pressure(),
      shadows,
      typedAnswers: settings.typedAnswers,
      onDemand: settings.loadOnDemand
        ? new OnDemand(lifecycle, models, admission, settings.maxLoadedModels)
        : undefined,
      recorder,
    },
    { version, readiness, loadReports },
  );
  const control = controlApi(lifecycle, telemetry);
  const screenControl = controlScreen(settings.controlPrincipals);
  const routesOf = (offer: Offer): Routes =>
    new Map([
      ...inferenceRoutes(api, control, offer, screenControl),
      ...rolloutRoutes(rolloutApi(rollouts), offer, screenControl),
      ...trafficRoutes(trafficApi(models, shadows.ledger)),
      ...health.routes,
      ...openRca.routes,
      ...reflectionRoutes(),
    ]);
  const { adminPort } = settings;
  const offersAdmin = adminPort === undefined && settings.controlPrincipals.length === 0;
  const rest = settings.rest === 'on' ? new RestServer(api, control, { ...settings, version, offersAdmin }) : undefined;
  const http = await listenHttp({
    host: settings.host,
    port: settings.httpPort,
    limits: httpLimits(settings),
    pages: operationsPages({
      ready: () => readiness.obstacles,
      metricsText: async () => (await telemetry.metricsText()) + tritonMetrics(models.all()),
    }),
    ...(rest !== undefined && { rest: (request, response, wayBack) => rest.handle(request, response, wayBack) }),
  });
  httpPort = http;
  const bind = async (port: number, offer: Offer): Promise<Transport> => {
    const transport = await listen({ ...settings, port }, routesOf(offer)).catch(async (error: unknown) => {
      await Promise.all([http.close(0), ...bound.map((other) => other.drain(0))]);
      throw error;
    });
    bound.push(transport);
    return transport;
  };
  const transport = await bind(settings.grpcPort, adminPort === undefined ? 'all' : 'without-admin');
  const admin = adminPort === undefined ? undefined : await bind(adminPort, 'admin-only');
  const loaded = lifecycle.start().then(() => readiness.become('serving'));

  const drain = async (): Promise<void> => {
    readiness.become('draining');
    rollouts.end();
    lifecycle.end();
    shadows.end();
    http.announceEnd();
    await new Promise((resolve) => setTimeout(resolve, settings.lameDuckMs));
    rest?.drain();
    health.endWatches();
    openRca.end();
    const endAt = performance.now() + settings.drainTimeoutMs + CLOSING_MS;
    const leftMs = (): number => Math.max(0, endAt - performance.now());
    const giveUp = giveUpLater(lifecycle, settings.drainTimeoutMs);
    const draining = [...bound, http];
    await Promise.all(draining.map((each) => each.drain(settings.drainTimeoutMs)));
    clearTimeout(giveUp);
    const closing = [runners.close(), lifecycle.close(), recorder?.close(), http.close(CLOSING_CONNECTIONS_MS)];
    await within(Promise.all(closing), leftMs());
    loadMeter?.[Symbol.dispose]();
    stopCollecting();
    await telemetry.shutdown(leftMs());
  };
  let stopped: Promise<void> | undefined;

  return {
    host: settings.host,
    grpcPort: transport.port,
    adminPort: admin?.port,
    httpPort: http.port,
    loaded,
    models: () => summarize(models),
    stop: () => {
      stopped ??= drain();
      return stopped;
    },
    kill: () => void runners.close(),
  };
}

/** What hides itself in a repository is no model of it. */
function stateDirectoryOf({ stateDirectory, modelRepository }: Settings): string {
  return stateDirectory === '' ? path.join(modelRepository, '.tensorgate') : stateDirectory;
}

/** Time after the drain for everything except requests: files, idle connections, the last export of metrics and traces. */
const CLOSING_MS = 300;
/** The part of it that clients of idle connections have to close their side. */
const CLOSING_CONNECTIONS_MS = 200;

/** Resolves with `work`, or without it after `ms`. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.min(ms, MAX_TIMER_MS));
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

/** Left of the grace when what still waits is given up, so that it gets an answer. */
const GIVE_UP_BEFORE_END_MS = 500;

function giveUpLater(lifecycle: ModelLifecycle, graceMs: number): NodeJS.Timeout {
  return setTimeout(
    () => {
      const text = 'the server ends, and could not answer this before: try another replica';
      const error = new InferError('draining', text, { pushback: 0 });
      lifecycle.abandon(error);
    },
    Math.max(0, graceMs - GIVE_UP_BEFORE_END_MS),
  );
}

/** A directory in which no mailbox can be made is the reason of each model that does not load. */
function warnOfMailboxes(settings: Settings): void {
  const { level, subject, text, advice } = checkMailboxDirectory(settings);
  if (level === 'warn') diagnostics.notice.publish({ level, text: `${subject}: ${text}; ${advice}` });
}

/** `undefined` where tenants have no rate. */
function rateLimitOf(settings: Settings): RateLimit | undefined {
  const { tenantKey: key, tenantRate: rate, tenantBurst: burst } = settings;
  return key === '' || rate === 0 ? undefined : new RateLimit({ key, rate, burst, weights: tenantWeights(settings) });
}

/** `undefined` where nothing of requests is kept. */
function recorderOf({ record: rows, recordDirectory: directory }: Settings): InputRecorder | undefined {
  if (rows === 0 || directory === undefined) return undefined;
  const text = `up to ${rows} rows of the requests of each model are kept in ${directory}: they hold what clients send`;
  diagnostics.notice.publish({ level: 'warn', text });
  return new InputRecorder({ directory, rows });
}

function stateOf(
  models: ModelTable,
  admission: Admission,
  transports: readonly Transport[],
  memory: ReadonlyMap<Occupant, number>,
): Omit<GatewayState, 'maxInFlightBytes'> {
  return {
    inFlightRequests: admission.requests,
    inFlightBytes: admission.bytes,
    transport: loadOf(transports),
    models: models.all().map((model) => {
      const { ref, state, isDown, queuedRequests, queuedRows, cacheBytes, predictions, paddingShare, breaker } = model;
      const memoryBytes = memory.get(model) ?? 0;
      return {
        ref,
        state,
        isDown,
        queuedRequests,
        queuedRows,
        cacheBytes,
        predictions,
        paddingShare,
        memoryBytes,
        breaker,
      };
    }),
  };
}

/** The sum over all ports that report their load. */
function loadOf(transports: readonly Transport[]): TransportLoad | undefined {
  return transports
    .flatMap(({ load }) => load ?? [])
    .reduce<TransportLoad | undefined>(
      (sum, load) => ({
        connections: load.connections + (sum?.connections ?? 0),
        streams: load.streams + (sum?.streams ?? 0),
        incomingBytes: load.incomingBytes + (sum?.incomingBytes ?? 0),
        unreadBytes: load.unreadBytes + (sum?.unreadBytes ?? 0),
      }),
      undefined,
    );
}

function summarize(models: ModelTable): ModelSummary[] {
  const served = models.all().map(({ ref, state, detail }): ModelSummary => {
    return { ...ref, state, default: state === 'READY' && models.defaultOf(ref.name)?.ref === ref, detail };
  });
  const broken = [...models.broken].map(
    ([name, detail]): ModelSummary => ({ name, version: '', state: 'UNAVAILABLE', default: false, detail }),
  );
  return [...served, ...broken].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
