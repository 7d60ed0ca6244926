/** The composition root: puts the parts of a server together, and takes them apart again. */

import os from 'node:os';
import { DEFAULT_WIRE_LIMITS } from '../wire/limits.ts';
import { listenGrpcJs } from './accept/grpc-js-transport.ts';
import { Health } from './accept/health-service.ts';
import { inferenceRoutes } from './accept/inference-service.ts';
import { reflectionRoutes } from './accept/reflection-service.ts';
import { RestServer } from './accept/rest/rest-server.ts';
import { Admission } from './admit/admission.ts';
import { controlApi } from './control-api.ts';
import { RunnerSet } from './dispatch/runner-set.ts';

import { InferError } from './errors.ts';
import { inferenceApi } from './inference-api.ts';
import { Model } from './model.ts';
import { planDefaults, planModel } from './model-plan.ts';
import { ModelTable } from './model-table.ts';
import { diagnostics, type ModelState } from './ops/diagnostics.ts';
import { collectByTotalMemory } from './ops/garbage-collection.ts';
import { listenOperations } from './ops/http-operations.ts';
import type { GatewayState } from './ops/metrics.ts';
import type { Settings } from './ops/settings.ts';
import { startTelemetry } from './ops/telemetry.ts';
import { Readiness } from './readiness.ts';
import { scanRepository } from './repository/model-repository.ts';
import type { Servable } from './servable.ts';
import { tritonMetrics } from './triton-metrics.ts';

/** What the server takes from its surroundings; only entry files read `process`. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  /** Of the package. */
  readonly version: string;
}

export interface ModelSummary {
  readonly name: string;
  /** Empty for a model of which no version could be tried. */
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
  readonly httpPort: number;
  /** Resolves, never rejects, when every model is READY or has failed. */
  readonly loaded: Promise<void>;
  models(): readonly ModelSummary[];
  /** Drains: readiness goes, what was accepted is answered, everything ends. Resolves when it has. */
  stop(): Promise<void>;
}

/**
 * Binds both ports, and loads the models of the repository behind them.
 * @throws RepositoryError where there is no such repository, or an Error that names a port that cannot be bound.
 */
export async function startServer(settings: Settings, surroundings: Surroundings): Promise<Server> {
  const { env, version } = surroundings;
  collectByTotalMemory();
  const runners = new RunnerSet(env);
  const admission = new Admission(settings.maxInFlightBytes);
  const models = readModels(settings, runners);
  const health = new Health();
  const readiness = new Readiness(models, health, settings.strictReadiness ? 'strict' : 'lenient');
  const telemetry = await startTelemetry({ env, version, settings, state: () => stateOf(models, admission) });
  const api = inferenceApi(
    { limits: DEFAULT_WIRE_LIMITS, models, admission, typedAnswers: settings.typedAnswers },
    { version, readiness },
  );
  // Interim: ModelLifecycle takes this place.
  const control = controlApi(
    {
      index: () =>
        models.all().map(({ ref, state, detail }) => ({ ...ref, state, reason: state === 'READY' ? '' : detail })),
      load: () => Promise.reject(new InferError('unimplemented', 'models are loaded at the start alone')),
      unload: () => {},
    },
    telemetry,
  );
  const routes = new Map([...inferenceRoutes(api, control), ...health.routes, ...reflectionRoutes()]);
  const rest =
    settings.rest === 'on' ? new RestServer(api, control, { ...settings, version, offersAdmin: true }) : undefined;
  const operations = await listenOperations({
    host: settings.host,
    port: settings.httpPort,
    ready: () => readiness.obstacles,
    metricsText: async () => (await telemetry.metricsText()) + tritonMetrics(models.all()),
    ...(rest !== undefined && { rest: (request, response) => rest.handle(request, response) }),
  });
  const transport = await listenGrpcJs({ ...settings, port: settings.grpcPort }, routes).catch(
    async (error: unknown) => {
      await operations.close();
      throw error;
    },
  );
  const ending = new AbortController();
  const loaded = loadAll(models.all(), ending.signal).then(() => readiness.become('serving'));

  const drain = async (): Promise<void> => {
    readiness.become('draining');
    ending.abort();
    await new Promise((resolve) => setTimeout(resolve, settings.lameDuckMs));
    health.endWatches();
    const giveUp = giveUpLater(models, settings.drainTimeoutMs);
    await Promise.all([transport.drain(settings.drainTimeoutMs), rest?.drain(settings.drainTimeoutMs)]);
    clearTimeout(giveUp);
    for (const model of models.all()) model.close();
    runners.close();
    await operations.close();
    await telemetry.shutdown();
  };
  let stopped: Promise<void> | undefined;

  return {
    host: settings.host,
    grpcPort: transport.port,
    httpPort: operations.port,
    loaded,
    models: () => summarize(models),
    stop: () => {
      stopped ??= drain();
      return stopped;
    },
  };
}

/** Plans every model on disk. One that cannot be planned is kept with its reason, and the others serve. */
function readModels(settings: Settings, runners: RunnerSet): ModelTable {
  const models = new ModelTable();
  for (const folder of scanRepository(settings.modelRepository)) {
    try {
      const plans = planModel(folder, planDefaults(settings));
      for (const plan of plans) models.add(new Model(plan, runners.runnerFor(plan.ref, plan.config.tensorgate.runner)));
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      models.addBroken(folder.name, problem);
      diagnostics.notice.publish({ level: 'error', text: `model '${folder.name}' cannot be served: ${problem}` });
    }
  }
  return models;
}

/** Loads the models, as many at a time as there are cores: each measures itself, and more would measure each other. */
async function loadAll(models: readonly Servable[], ending: AbortSignal): Promise<void> {
  const waiting = [...models];
  const loadNext = async (): Promise<void> => {
    for (let model = waiting.shift(); model !== undefined && !ending.aborted; model = waiting.shift()) {
      await model.load();
    }
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, loadNext));
}

/** Left of the grace when what still waits is given up, so that it gets an answer. */
const GIVE_UP_BEFORE_END_MS = 500;

function giveUpLater(models: ModelTable, graceMs: number): NodeJS.Timeout {
  return setTimeout(
    () => {
      const text = 'the server ends, and could not answer this before: try another replica';
      const error = new InferError('draining', text, { pushback: 0 });
      for (const model of models.all()) model.abandon(error);
    },
    Math.max(0, graceMs - GIVE_UP_BEFORE_END_MS),
  );
}

function stateOf(models: ModelTable, admission: Admission): Omit<GatewayState, 'maxInFlightBytes'> {
  return {
    inFlightRequests: admission.requests,
    inFlightBytes: admission.bytes,
    models: models.all().map(({ ref, state, queuedRequests, queuedRows, breaker }) => ({
      ref,
      state,
      queuedRequests,
      queuedRows,
      breaker,
    })),
  };
}

function summarize(models: ModelTable): ModelSummary[] {
  const served = models.all().map(({ ref, state, detail }): ModelSummary => {
    const answering = models.versionsOf(ref.name).findLast((version) => version.state === 'READY');
    return { ...ref, state, default: answering?.ref === ref, detail };
  });
  const broken = [...models.broken].map(
    ([name, detail]): ModelSummary => ({ name, version: '', state: 'UNAVAILABLE', default: false, detail }),
  );
  return [...served, ...broken].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
