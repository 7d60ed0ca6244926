/**
 * The documents behind the page: one snapshot of the server, and the updates of its event stream. Times of day are milliseconds
 * since 1970, durations milliseconds, `null` stands for a value that is not known or does not apply.
 */

import type { ExplainedBatching, ExplainedExecution, ExplainedTensor } from '../../../wire/model-explanation.ts';
import type { Datatype, Shape } from '../../../wire/tensor.ts';
import type { RolloutStateMessage } from '../rollout-service.ts';
import type { ShadowReportMessage } from '../traffic-service.ts';

export interface ServerSnapshot {
  /** Grows when models, versions or rollouts change: then the whole snapshot is worth asking for again. */
  readonly revision: number;
  readonly at_ms: number;
  readonly server: ServerFacts;
  readonly models: readonly ModelSnapshot[];
  /** Newest first. */
  readonly events: readonly EventSnapshot[];
}

/** The changes since the update before. Versions that nothing happened to are left out. */
export interface ServerUpdate {
  readonly revision: number;
  readonly at_ms: number;
  readonly server: ServerFacts;
  readonly versions: readonly VersionUpdate[];
  readonly rollouts: readonly RolloutStateMessage[];
  readonly events: readonly EventSnapshot[];
}

export interface VersionUpdate {
  readonly model: string;
  readonly version: string;
  readonly live: VersionLive;
  /** With the newest points and runs only. */
  readonly figures: FiguresSnapshot | null;
}

export interface ServerFacts {
  readonly version: string;
  readonly started_at_ms: number;
  readonly phase: 'loading' | 'serving' | 'draining';
  /** Why it is not ready; empty when it is. */
  readonly obstacles: readonly string[];
  /** Beside the host that the reader of the page has reached. */
  readonly ports: { readonly grpc: number; readonly http: number };
  readonly in_flight_requests: number;
  readonly in_flight_bytes: number;
  readonly in_flight_bytes_limit: number;
  /** Share of the time that the event loop of the gateway was busy, since the document before; 0 to 1. */
  readonly event_loop_busy: number;
  /** Whether the REST API answers on this port: the page sends its requests there. */
  readonly rest: boolean;
  /** Whether the reader of the page may load and unload models over REST. */
  readonly control: boolean;
  /** Milliseconds of a point of history. */
  readonly point_ms: number;
  /** Points that are kept. */
  readonly points: number;
}

export interface ModelSnapshot {
  readonly name: string;
  /** Why none of it can be loaded; `null` for a model with versions. */
  readonly problem: string | null;
  readonly platform: string;
  readonly inputs: readonly ExplainedTensor[];
  readonly outputs: readonly ExplainedTensor[];
  /** Whether the first axis of each input counts rows, and is asked for by the page with one. */
  readonly batched: boolean;
  /** The class labels of an output, by its name. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  readonly steps: readonly { readonly model: string; readonly version: string }[];
  /** A made-up request that it answers; `null` where none is known. */
  readonly sample:
    | readonly { readonly name: string; readonly datatype: Datatype; readonly shape: Shape; readonly value: number }[]
    | null;
  /** The version that answers a request without one; `null` where none is ready. */
  readonly default_version: string | null;
  /** Percent of the requests without a version, by version; empty where the default version gets all. */
  readonly split: Readonly<Record<string, number>>;
  /** The version that gets copies of a share of the requests, 0 to 1. */
  readonly shadow: { readonly version: string; readonly share: number } | null;
  readonly shadows: readonly ShadowReportMessage[];
  readonly rollout: RolloutStateMessage | null;
  readonly versions: readonly VersionSnapshot[];
}

export interface VersionSnapshot {
  readonly version: string;
  readonly batching: ExplainedBatching | null;
  readonly execution: ExplainedExecution | null;
  readonly live: VersionLive;
  readonly figures: FiguresSnapshot | null;
}

export interface VersionLive {
  readonly state: string;
  /** Why it is not ready, or how it is served, in a line. */
  readonly reason: string;
  readonly waiting_requests: number;
  readonly waiting_rows: number;
  readonly memory_bytes: number;
  readonly breaker: string;
  /** It served, has no process, and comes back by itself. */
  readonly down: boolean;
}

export interface FiguresSnapshot {
  /** Requests a second, over the last half minute. */
  readonly answered_per_s: number;
  readonly refused_per_s: number;
  readonly failed_per_s: number;
  /** Over the last minute; at most 5 % too long. */
  readonly latency: { readonly count: number; readonly p50: number; readonly p90: number; readonly p99: number } | null;
  /** Requests since the start, by reason (docs/errors.md); `none`: answered. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Batches since the start, by the reason for which they were sent. */
  readonly sent: Readonly<Record<string, number>>;
  /** Batches since the start, by rows, rounded up to a power of two. */
  readonly sizes: readonly (readonly [rows: number, batches: number])[];
  /** Rows of all batches since the start. */
  readonly rows: number;
  /** Means of an answered request since the start. */
  readonly stages: { readonly waiting: number; readonly transfer: number; readonly compute: number } | null;
  /** Share of the runs that took no longer than predicted, 0 to 1. */
  readonly within_prediction: number | null;
  /** Oldest first; stretches of `point_ms` without any event are left out. */
  readonly points: readonly PointSnapshot[];
  /** The last runs, oldest first. */
  readonly runs: readonly (readonly [at_ms: number, rows: number, predicted_ms: number, ms: number])[];
}

/** `slot` times `point_ms` is the time at its start. Latencies are `null` where nothing was answered. */
export type PointSnapshot = readonly [
  slot: number,
  answered: number,
  refused: number,
  failed: number,
  p50: number | null,
  p99: number | null,
  waiting: number,
];

export interface EventSnapshot {
  readonly kind: 'runner_ended' | 'start_failed' | 'breaker' | 'unavailable' | 'rollout';
  readonly at_ms: number;
  readonly model: string;
  readonly version: string;
  /** The cause, the new state, or a sentence. */
  readonly text: string;
  /** The stage of a rollout. */
  readonly stage: string | null;
  /** Requests that ran again after the end of their process. */
  readonly repeated: number | null;
  /** Time until the version was loaded again; `null` while it is not. */
  readonly back_after_ms: number | null;
}

/** Behind the page. */
export interface PageApi {
  snapshot(): Promise<ServerSnapshot>;
  /** @param sinceMs the time of the document before */
  update(sinceMs: number): Promise<ServerUpdate>;
}
