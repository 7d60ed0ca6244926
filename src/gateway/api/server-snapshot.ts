/** The documents behind the page, from what the server knows and what its history has recorded. */

import type {
  PageApi,
  ServerFacts,
  ServerSnapshot,
  ServerUpdate,
  VersionLive,
  VersionUpdate,
} from '../accept/page/snapshot.ts';
import type { RolloutApi, RolloutStateMessage } from '../accept/rollout-service.ts';
import type { TrafficApi } from '../accept/traffic-service.ts';
import type { Admission } from '../admit/admission.ts';
import type { LoadFailures } from '../models/load-failures.ts';
import type { Readiness } from '../models/readiness.ts';
import type { Servable } from '../models/servable.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import type { History } from '../ops/history/history.ts';
import { POINT_MS, POINTS } from '../ops/history/version-history.ts';
import { eventOf, figuresOf } from './history-snapshot.ts';
import type { ExplainedServer } from './model-explanation.ts';
import { modelSnapshot } from './model-snapshot.ts';

export interface SnapshotSources {
  readonly server: ExplainedServer;
  readonly history: History;
  readonly readiness: Pick<Readiness, 'phase' | 'obstacles'>;
  readonly admission: Pick<Admission, 'requests' | 'bytes'>;
  readonly failures: () => ReadonlyMap<string, LoadFailures>;
  readonly memory: () => Promise<Pick<ReadonlyMap<Servable, number>, 'get'>>;
  readonly rollouts: Pick<RolloutApi, 'status'>;
  readonly traffic: TrafficApi;
  readonly facts: Pick<ServerFacts, 'version' | 'rest' | 'control'>;
  /** They are open by the time someone asks. */
  readonly ports: () => { readonly grpc: number; readonly http: number };
  readonly inFlightBytesLimit: number;
}

/** @returns the documents, and what ends the listening to changes */
export function pageApi(sources: SnapshotSources): PageApi & Disposable {
  const { server, history } = sources;
  const startedAtMs = Date.now();
  const loop = new LoopShare();
  let revision = 0;
  const grow = (): void => {
    revision++;
  };
  const stops = [
    diagnostics.modelChanged.subscribe(grow),
    diagnostics.rolloutChanged.subscribe(grow),
    server.models.onChange(grow),
  ];
  const facts = (): ServerFacts => ({
    ...sources.facts,
    ports: sources.ports(),
    started_at_ms: startedAtMs,
    phase: sources.readiness.phase,
    obstacles: sources.readiness.obstacles,
    in_flight_requests: sources.admission.requests,
    in_flight_bytes: sources.admission.bytes,
    in_flight_bytes_limit: sources.inFlightBytesLimit,
    event_loop_busy: loop.busy,
    point_ms: POINT_MS,
    points: POINTS,
  });
  const common = () => ({ revision, at_ms: Date.now(), server: facts(), events: history.events.map(eventOf) });
  return {
    snapshot: async (): Promise<ServerSnapshot> => {
      const memory = await sources.memory();
      const rollouts = new Map(sources.rollouts.status('').map((rollout) => [rollout.model, rollout]));
      const failures = sources.failures();
      const names = new Set([...server.models.names(), ...failures.keys()]);
      const models = [...names].sort().map((name) =>
        modelSnapshot(name, server, {
          failures: failures.get(name),
          rollout: rollouts.get(name) ?? null,
          shadows: server.models.versionsOf(name).length === 0 ? [] : sources.traffic.shadowReports(name),
          live: (servable) => liveOf(servable, memory),
          figures: ({ ref }) => figuresOf(history.find(ref)),
        }),
      );
      return { ...common(), models };
    },
    update: async (sinceMs): Promise<ServerUpdate> => {
      const memory = await sources.memory();
      const versions = server.models.all().flatMap((servable): VersionUpdate[] => {
        const recorded = history.find(servable.ref);
        // Its rates fall for half a minute after its last request.
        const isQuiet = recorded === undefined || recorded.changedAt < sinceMs - 13 * POINT_MS;
        if (isQuiet && servable.queuedRequests === 0) return [];
        const { name: model, version } = servable.ref;
        return [{ model, version, live: liveOf(servable, memory), figures: figuresOf(recorded, sinceMs) }];
      });
      return { ...common(), versions, rollouts: sources.rollouts.status('').filter(isRunning) };
    },
    [Symbol.dispose]: () => {
      for (const stop of stops) stop();
    },
  };
}

function isRunning({ stage }: RolloutStateMessage): boolean {
  return stage !== 'STAGE_PROMOTED' && stage !== 'STAGE_ROLLED_BACK';
}

function liveOf(servable: Servable, memory: Pick<ReadonlyMap<Servable, number>, 'get'>): VersionLive {
  const { state, detail, queuedRequests, queuedRows, breaker, isDown } = servable;
  return {
    state,
    reason: detail,
    waiting_requests: queuedRequests,
    waiting_rows: queuedRows,
    memory_bytes: Math.round(memory.get(servable) ?? 0),
    breaker,
    down: isDown,
  };
}

/** Shortest time that a share is measured over: of a shorter one, the document itself would be a large part. */
const MIN_SHARE_MS = 1_000;

/** How busy the event loop was between two documents. */
class LoopShare {
  #before = performance.eventLoopUtilization();
  #atMs = performance.now();
  #busy = 0;

  get busy(): number {
    const now = performance.now();
    if (now - this.#atMs < MIN_SHARE_MS) return this.#busy;
    const current = performance.eventLoopUtilization();
    this.#busy = Number(performance.eventLoopUtilization(current, this.#before).utilization.toFixed(3));
    this.#before = current;
    this.#atMs = now;
    return this.#busy;
  }
}
