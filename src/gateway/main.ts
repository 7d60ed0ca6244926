/** The composition root: puts the parts of a server together, and takes them apart again. */

import type { Routes, Transport } from './accept/call.ts';
import { controlScreen } from './accept/control-screen.ts';
import { Health } from './accept/health-service.ts';
import { type HttpPort, listenHttp } from './accept/http/http-port.ts';
import { inferenceRoutes, type ServedRpcs } from './accept/inference-service.ts';
import { LoadReports } from './accept/load-reports.ts';
import { type ModelsApi, modelsRoutes } from './accept/models-service.ts';
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
import { explainModel } from './api/model-explanation.ts';
import { operationsPages } from './api/operations-pages.ts';
import { rolloutApi } from './api/rollout-api.ts';
import { serverPage } from './api/server-page.ts';
import { type ModelSummary, pendingWork, type SampleInput, stateOf, summarize } from './api/server-state.ts';
import { trafficApi } from './api/traffic-api.ts';
import { tritonMetrics } from './api/triton-metrics.ts';
import { DeviceSet } from './dispatch/device-set.ts';
import { RunnerSet } from './dispatch/runner-set.ts';
import { CallGateway } from './models/code/call-gateway.ts';
import { InputRecorder } from './models/input-recorder.ts';
import { ModelLifecycle } from './models/lifecycle/model-lifecycle.ts';
import { ModelMemory } from './models/lifecycle/model-memory.ts';
import { OnDemand } from './models/lifecycle/on-demand.ts';
import { servableFactory } from './models/lifecycle/servable-factory.ts';
import { LoadMeter } from './models/load-meter.ts';
import { MessageLimits } from './models/message-limits.ts';
import { planDefaults } from './models/model-plan.ts';
import { ModelTable } from './models/model-table.ts';
import type { ModelPlan } from './models/planned-version.ts';
import { Readiness } from './models/readiness.ts';
import type { Servable } from './models/servable.ts';
import type { CapacityFinding } from './ops/capacity.ts';
import { onnxRuntimeVersion } from './ops/diagnosis/execution-providers.ts';
import { reportMachine } from './ops/diagnosis/start-notices.ts';
import { type DrainPhases, drain } from './ops/drain.ts';
import { tuneCollections } from './ops/garbage-collection.ts';
import { collectWhenIdle } from './ops/idle-collection.ts';
import { httpLimits } from './ops/limit-settings.ts';
import { usableCores } from './ops/machine-capacity.ts';
import type { Settings } from './ops/settings.ts';
import type { GivenSettings } from './ops/settings-sources.ts';
import { StartedParts } from './ops/started-parts.ts';
import { startTelemetry } from './ops/telemetry.ts';
import { Rollouts } from './rollout/rollouts.ts';
import { Shadows } from './rollout/shadow.ts';
import { StateDirectory } from './rollout/state-directory.ts';
import { chooseTransport } from './transport.ts';

export type { ModelSummary, SampleInput };

/** Facts that the server receives from its entry file: only entry files read `process`. */
export interface ProcessContext {
  readonly env: NodeJS.ProcessEnv;
  readonly version: string;
  /** Findings on the machine's resources and the settings that use them, for the log. */
  readonly capacity?: readonly CapacityFinding[];
  /** The settings that some source names, for explanations. */
  readonly given?: GivenSettings;
  /** Serves a version in place of its files, where it returns one: fake models of tests. */
  readonly standIn?: (plan: ModelPlan) => Servable | undefined;
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
  readonly readiness: Pick<Readiness, 'first' | 'obstacles'>;
  /**
   * Drains: readiness goes, accepted requests are answered, everything ends. Resolves after that: at the latest
   * `CLOSING_MS` of `ops/drain.ts` after `lameDuckMs` and `drainTimeoutMs`, unless something that it waits for hangs.
   */
  stop(): Promise<void>;
  /** Kills every runner, also one that is stopped: to be called when the process must not wait for `stop`. */
  kill(): void;
}

/**
 * Binds both ports, and loads the models of the repository behind them.
 * @throws RepositoryError where there is no such repository, or an Error that names a port that cannot be bound.
 */
export async function startServer(settings: Settings, context: ProcessContext): Promise<Server> {
  const parts = new StartedParts();
  try {
    return await startParts(settings, context, parts);
  } catch (error) {
    await parts.end();
    throw error;
  }
}

async function startParts(
  settings: Settings,
  { env, version, capacity = [], given = new Map(), standIn }: ProcessContext,
  parts: StartedParts,
): Promise<Server> {
  const { listen, listenAdmin } = await chooseTransport(settings);
  tuneCollections();
  const admission = new Admission(settings.maxInFlightBytes);
  const models = new ModelTable();
  const calls = new CallGateway();
  const memory = new ModelMemory(settings.modelMemoryBytes);
  const rateLimit = RateLimit.of(settings);
  const bound: Transport[] = [];
  const methods = new Set<string>();
  let httpPort: HttpPort | undefined;
  const state = async () => ({
    ...stateOf(models, admission, bound, await memory.recent()),
    http: httpPort?.gauges,
    known: { methods: [...methods], tenants: rateLimit?.tenants ?? [] },
  });
  // The first part, and after a failed start the last to end: it logs what the other parts report.
  const telemetry = await parts.start(
    'telemetry',
    () => startTelemetry({ env, version, onnxruntime: onnxRuntimeVersion(), settings, state }),
    (each) => each.shutdown(),
  );
  const stopCollecting = await parts.start('collections', collectWhenIdle, (stop) => stop());
  const runners = await parts.start(
    'runners',
    () => new RunnerSet(env),
    (each) => each.close(),
  );
  const devices = new DeviceSet(usableCores());
  const shadows = await parts.start(
    'shadows',
    () => new Shadows(models, admission),
    (each) => each.end(),
  );
  const create = servableFactory(runners, devices, { models, admission, calls });
  const lifecycle = await parts.start(
    'lifecycle of models',
    () =>
      new ModelLifecycle(models, (plan) => standIn?.(plan) ?? create(plan), {
        repository: settings.modelRepository,
        mode: settings.modelControlMode,
        initial: settings.loadModel,
        pollIntervalMs: settings.repositoryPollSecs * 1_000,
        allowsUpload: settings.allowModelUpload,
        onDemand: settings.loadOnDemand,
        memory,
        defaults: planDefaults(settings),
      }),
    (each) => each.close(),
  );
  const rollouts = await parts.start(
    'rollouts',
    () => {
      const state = StateDirectory.of(settings);
      return new Rollouts(models, lifecycle, state, { onDemand: settings.loadOnDemand });
    },
    (each) => each.end(),
  );
  await rollouts.resume();
  const vacancy = await lifecycle.plan();
  reportMachine(settings, capacity);
  const health = new Health();
  const readiness = new Readiness(models, health, { policy: settings.strictReadiness ? 'strict' : 'lenient', vacancy });
  const loadMeter = await parts.start(
    'load meter',
    () =>
      settings.loadReports === 'off'
        ? undefined
        : new LoadMeter(() => models.all().flatMap(({ occupancy }) => occupancy ?? [])),
    (meter) => meter?.[Symbol.dispose](),
  );
  const loadReports = new LoadReports(settings.loadReports, loadMeter ?? { report: undefined });
  const openRca = new OpenRca(loadReports);
  const recorder = InputRecorder.for(settings);
  const limits = new MessageLimits(models);
  const api = inferenceApi(
    {
      ...{ limits, models, admission, rateLimit, shadows, recorder },
      maxMessageBytes: settings.maxMessageBytes,
      pressure: new Pressure(),
      typedAnswers: settings.typedAnswers,
      onDemand: settings.loadOnDemand
        ? new OnDemand(lifecycle, models, admission, settings.maxLoadedModels)
        : undefined,
    },
    { version, readiness, loadReports, calls },
  );
  const explained = { models, limits, settings, given };
  const modelsApi: ModelsApi = { explain: (name, asked) => explainModel(models.find(name, asked), explained) };
  const control = controlApi(lifecycle, telemetry);
  const screenControl = controlScreen(settings.controlPrincipals);
  const rolloutsApi = rolloutApi(rollouts);
  const traffic = trafficApi(models, shadows.ledger);
  const routesOf = (served: ServedRpcs): Routes =>
    new Map([
      ...inferenceRoutes(api, control, served, screenControl),
      ...rolloutRoutes(rolloutsApi, served, screenControl),
      ...trafficRoutes(traffic),
      ...modelsRoutes(modelsApi),
      ...health.routes,
      ...openRca.routes,
      ...reflectionRoutes(),
    ]);
  const { adminPort } = settings;
  const servesAdmin = adminPort === undefined && settings.controlPrincipals.length === 0;
  const rest = settings.rest === 'on' ? new RestServer(api, control, { ...settings, version, servesAdmin }) : undefined;
  const pages = operationsPages({
    ready: () => readiness.obstacles,
    metricsText: async (format) => (await telemetry.metricsText(format)) + tritonMetrics(models.all(), format),
  });
  const shown = {
    ...{ settings, version, servesAdmin, readiness, admission, rollouts: rolloutsApi, traffic, server: explained },
    failures: () => lifecycle.failures(),
    memory: () => memory.recent(),
    ports: () => ({ grpc: bound[0]?.port ?? 0, http: httpPort?.port ?? 0 }),
  };
  const openPage = () => serverPage(shown, pages);
  const page = await parts.start('page', openPage, (each) => each[Symbol.dispose]());
  const http = await parts.start(
    'HTTP port',
    () =>
      listenHttp({
        host: settings.host,
        port: settings.httpPort,
        limits: httpLimits(settings),
        pages: page.handler,
        restPaths: [settings.healthRoute, settings.predictRoute].filter((route) => route !== undefined),
        ...(rest !== undefined && { rest }),
      }),
    (port) => port.close(0),
  );
  httpPort = http;
  const bind = async (name: string, port: number, served: ServedRpcs): Promise<Transport> => {
    const start = served === 'admin-only' ? listenAdmin : listen;
    const routes = routesOf(served);
    for (const path of routes.keys()) methods.add(path);
    const open = (): Promise<Transport> => start({ ...settings, port }, routes);
    const transport = await parts.start(name, open, (each) => each.drain(0));
    bound.push(transport);
    return transport;
  };
  const transport = await bind('gRPC port', settings.grpcPort, adminPort === undefined ? 'all' : 'without-admin');
  const admin = adminPort === undefined ? undefined : await bind('admin port', adminPort, 'admin-only');
  const loaded = lifecycle.start().then(() => readiness.become('serving'));

  const phases: DrainPhases = {
    pending: () => pendingWork(admission, bound),
    announce: () => {
      readiness.become('draining');
      rollouts.end();
      lifecycle.end();
      shadows.end();
      http.announceEnd();
    },
    endWatches: () => {
      rest?.drain();
      page.end();
      health.endWatches();
      openRca.end();
    },
    ports: [...bound, http],
    abandon: (error) => lifecycle.abandon(error),
    close: () => [runners.close(), lifecycle.close(), recorder?.close(), http.close(CLOSING_CONNECTIONS_MS)],
    finish: async (leftMs) => {
      loadMeter?.[Symbol.dispose]();
      page[Symbol.dispose]();
      stopCollecting();
      await telemetry.shutdown(leftMs);
    },
  };
  let stopped: Promise<void> | undefined;

  return {
    host: settings.host,
    grpcPort: transport.port,
    adminPort: admin?.port,
    httpPort: http.port,
    loaded,
    models: () => summarize(models),
    readiness,
    stop: () => {
      stopped ??= drain(phases, settings);
      return stopped;
    },
    kill: () => void runners.close(),
  };
}

/** Time that clients of idle connections have to close their side, once the server closes. */
const CLOSING_CONNECTIONS_MS = 200;
