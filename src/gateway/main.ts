/** The composition root: puts the parts of a server together, and takes them apart again. */

import os from 'node:os';
import { DEFAULT_WIRE_LIMITS } from '../wire/limits.ts';
import { listenGrpcJs } from './accept/grpc-js-transport.ts';
import { Health } from './accept/health-service.ts';
import { inferenceRoutes } from './accept/inference-service.ts';
import { reflectionRoutes } from './accept/reflection-service.ts';
import { Admission } from './admit/admission.ts';
import { Runner } from './dispatch/runner.ts';
import { InferError } from './errors.ts';
import type { InferencePath } from './infer.ts';
import { inferenceApi } from './inference-api.ts';
import { Model, type ModelPlan } from './model.ts';
import { planModel } from './model-plan.ts';
import { ModelTable } from './model-table.ts';
import { diagnostics, type ModelState } from './ops/diagnostics.ts';
import { listenOperations } from './ops/http-operations.ts';
import type { Settings } from './ops/settings.ts';
import { startTelemetry } from './ops/telemetry.ts';
import { scanRepository } from './repository/model-repository.ts';

/** What the server takes from its surroundings; only entry files read `process`. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  /** Of the package. */
  readonly version: string;
}

export interface ModelSummary {
  readonly name: string;
  /** Empty for a model that could not even be planned. */
  readonly version: string;
  readonly state: ModelState;
  /** Answers requests that name no version. */
  readonly default: boolean;
  /** `2 instances on cpu, batching on (axis 0, max 64 rows, delay 0 us)`, or why it does not serve. */
  readonly detail: string;
}

export interface Server {
  readonly host: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Resolves, never rejects, when every model is READY or has failed. */
  readonly loaded: Promise<void>;
  models(): readonly ModelSummary[];
  /** Drains: readiness goes, what was accepted is answered, everything is ended. Resolves when it is. */
  stop(): Promise<void>;
}

const SERVICE = 'inference.GRPCInferenceService';
/** Left of the grace when what still waits is given up, so that it gets an answer. */
const GIVE_UP_BEFORE_END_MS = 500;

/**
 * Binds both ports, and loads the models of the repository behind them.
 * @throws RepositoryError where there is no such repository, or an Error that names a port that cannot be bound.
 */
export async function startServer(settings: Settings, surroundings: Surroundings): Promise<Server> {
  const folders = scanRepository(settings.modelRepository);
  const table = new ModelTable();
  const runners = new RunnerSet(surroundings.env);
  const admission = new Admission(settings.maxInFlightBytes);
  const health = new Health();
  let phase: 'loading' | 'serving' | 'draining' = 'loading';

  const obstacles = (): string[] => {
    if (phase === 'draining') return ['the server drains'];
    const unready = table.all().filter(({ state }) => state !== 'READY');
    return [
      ...(phase === 'loading' ? ['models are being loaded'] : []),
      ...[...table.broken].map(([name, problem]) => `model ${name} is UNAVAILABLE: ${problem}`),
      ...unready.map(({ ref, state, detail }) => `model ${ref.name} version ${ref.version} is ${state}: ${detail}`),
    ];
  };
  const publishHealth = (): void => {
    const status = obstacles().length === 0 ? 'SERVING' : 'NOT_SERVING';
    health.set('', status);
    health.set(SERVICE, status);
    for (const name of table.names()) {
      const ready = phase !== 'draining' && table.versionsOf(name).some(({ state }) => state === 'READY');
      health.set(name, ready ? 'SERVING' : 'NOT_SERVING');
    }
  };

  const telemetry = await startTelemetry({
    env: surroundings.env,
    version: surroundings.version,
    settings,
    state: () => ({
      inFlightRequests: admission.requests,
      inFlightBytes: admission.bytes,
      models: table.all().map((model) => ({
        ref: model.ref,
        state: model.state,
        queuedRequests: model.queuedRequests,
        queuedRows: model.queuedRows,
        breaker: model.breaker,
      })),
    }),
  });
  const stopWatching = diagnostics.modelChanged.subscribe(publishHealth);

  for (const folder of folders) {
    try {
      const plans = planModel(folder, {
        executionProviders: settings.executionProviders,
        strictExecutionProviders: settings.strictExecutionProviders,
        mailboxDirectory: settings.mailboxDirectory,
        loadLimitMs: settings.runnerStartTimeoutMs,
        cores: os.availableParallelism(),
      });
      for (const plan of plans) table.add(new Model(plan, runners.runnerFor(plan)));
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      table.addBroken(folder.name, problem);
      diagnostics.notice.publish({ level: 'error', text: `model '${folder.name}' cannot be served: ${problem}` });
    }
  }

  const path: InferencePath = {
    limits: DEFAULT_WIRE_LIMITS,
    models: table,
    admission,
    typedAnswers: settings.typedAnswers,
  };
  const api = inferenceApi(path, { version: surroundings.version, obstacles });
  const routes = new Map([...inferenceRoutes(api), ...health.routes, ...reflectionRoutes()]);
  publishHealth();
  const operations = await listenOperations({
    host: settings.host,
    port: settings.httpPort,
    ready: obstacles,
    metricsText: () => telemetry.metricsText(),
  });
  const transport = await listenGrpcJs({ ...settings, port: settings.grpcPort }, routes).catch(
    async (error: unknown) => {
      await operations.close();
      throw error;
    },
  );

  const loaded = loadAll(table.all(), os.availableParallelism()).then(() => {
    if (phase === 'loading') phase = 'serving';
    publishHealth();
  });

  const drain = async (): Promise<void> => {
    phase = 'draining';
    publishHealth();
    await new Promise((resolve) => setTimeout(resolve, settings.lameDuckMs));
    const giveUp = setTimeout(
      () => {
        const error = new InferError(
          'draining',
          'the server ends, and could not answer this before: try another replica',
          {
            pushback: 0,
          },
        );
        for (const model of table.all()) model.abandon(error);
      },
      Math.max(0, settings.drainTimeoutMs - GIVE_UP_BEFORE_END_MS),
    );
    await transport.drain(settings.drainTimeoutMs);
    clearTimeout(giveUp);
    stopWatching();
    for (const model of table.all()) model.close();
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
    models: () => summarize(table),
    stop: () => {
      stopped ??= drain();
      return stopped;
    },
  };
}

/** One runner for each model version, or one for all that name it. */
class RunnerSet {
  readonly #env: NodeJS.ProcessEnv;
  readonly #runners = new Map<string, Runner>();

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  runnerFor({ ref, config }: ModelPlan): Runner {
    const shared = config.tensorgate.runner;
    const key = shared === undefined ? `${ref.name}:${ref.version}` : `shared:${shared}`;
    const found = this.#runners.get(key);
    if (found !== undefined) return found;
    const made = new Runner(shared ?? `${ref.name}:${ref.version}`, this.#env);
    this.#runners.set(key, made);
    return made;
  }

  close(): void {
    for (const runner of this.#runners.values()) runner.close();
  }
}

/** Loads the models, a few at a time: each measures itself, and too many at once would measure each other. */
async function loadAll(models: readonly Model[], atOnce: number): Promise<void> {
  const waiting = [...models];
  const loadNext = async (): Promise<void> => {
    for (let model = waiting.shift(); model !== undefined; model = waiting.shift()) await model.load();
  };
  await Promise.all(Array.from({ length: atOnce }, loadNext));
}

function summarize(table: ModelTable): ModelSummary[] {
  const served = table.all().map((model): ModelSummary => {
    const { name, version } = model.ref;
    const highest = table.versionsOf(name).findLast(({ state }) => state === 'READY');
    return { name, version, state: model.state, default: model === highest, detail: model.detail };
  });
  const broken = [...table.broken].map(
    ([name, detail]): ModelSummary => ({
      name,
      version: '',
      state: 'UNAVAILABLE',
      default: false,
      detail,
    }),
  );
  return [...served, ...broken].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
