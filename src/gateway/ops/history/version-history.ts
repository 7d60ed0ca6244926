/**
 * The recent past of one model version: 48 points of 5 s each, and sums since the start. It is made from events only, so that a
 * version without requests costs nothing.
 */

import type { BatchEnded, InferenceEnded, SendReason } from '../diagnostics.ts';
import { LatencyCounts } from './latency-buckets.ts';
import { type OutcomeKind, outcomeKind } from './outcome-kind.ts';

export const POINT_MS = 5_000;
export const POINTS = 48;
/** Points whose latencies are kept whole: the last minute, and the point that is not over. */
const LATENCY_POINTS = 13;
/** Points that make the rates: half a minute. */
const RATE_POINTS = 6;
const RUNS = 160;

/** One stretch of `POINT_MS`. */
export interface HistoryPoint {
  /** `Date.now()` at its start, divided by `POINT_MS`. */
  readonly slot: number;
  readonly answered: number;
  readonly refused: number;
  readonly failed: number;
  /** Latencies in milliseconds; `undefined` where nothing was answered. */
  readonly p50: number | undefined;
  readonly p99: number | undefined;
  /** Requests that waited for a batch, on average. */
  readonly waiting: number;
}

/** A run that ended well: its rows, and its time in milliseconds as predicted and as it was. */
export interface HistoryRun {
  /** `Date.now()` when it was sent. */
  readonly atMs: number;
  readonly rows: number;
  readonly predictedMs: number;
  readonly ms: number;
}

export interface VersionFigures {
  /** Requests a second, over the last half minute. */
  readonly rates: { readonly answered: number; readonly refused: number; readonly failed: number };
  /** Latencies of the last minute, in milliseconds; `undefined` where nothing was answered. */
  readonly latency:
    | { readonly count: number; readonly p50: number; readonly p90: number; readonly p99: number }
    | undefined;
  /** Requests since the start, by reason; `none` for those that were answered. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Batches since the start, by the reason for which they were sent. */
  readonly sent: ReadonlyMap<SendReason, number>;
  /** Batches since the start, by rows, rounded up to a power of two. */
  readonly sizes: ReadonlyMap<number, number>;
  readonly rows: number;
  /** Mean of an answered request since the start, in milliseconds; `undefined` where none ran. */
  readonly stages: { readonly waiting: number; readonly transfer: number; readonly compute: number } | undefined;
  /** Share of the runs that took no longer than predicted, 0 to 1; `undefined` where nothing was predicted. */
  readonly withinPrediction: number | undefined;
  /** Oldest first. */
  readonly points: readonly HistoryPoint[];
  readonly runs: readonly HistoryRun[];
}

interface OpenPoint {
  slot: number;
  answered: number;
  refused: number;
  failed: number;
  queueMs: number;
  /** `undefined` until something is answered. */
  latencies: LatencyCounts | undefined;
  p50: number | undefined;
  p99: number | undefined;
}

export class VersionHistory {
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #points: OpenPoint[] = [];
  readonly #outcomes = new Map<string, number>();
  readonly #sent = new Map<SendReason, number>();
  readonly #sizes = new Map<number, number>();
  readonly #runs: HistoryRun[] = [];
  #nextRun = 0;
  #rows = 0;
  #waited = { count: 0, ms: 0 };
  #ran = { count: 0, transferMs: 0, computeMs: 0 };
  #predicted = { count: 0, within: 0 };
  /** `Date.now()` of the last event. */
  changedAt: number;

  /** @param now as `Date.now`, because people read it */
  constructor(now: () => number) {
    this.#now = now;
    this.#startedAt = now();
    this.changedAt = this.#startedAt;
  }

  recordInference({ reason, durationMs, queueMs }: Pick<InferenceEnded, 'reason' | 'durationMs' | 'queueMs'>): void {
    const point = this.#current();
    const kind: OutcomeKind = outcomeKind(reason);
    if (kind !== 'caller') point[kind]++;
    count(this.#outcomes, reason ?? 'none');
    if (kind === 'answered') {
      point.latencies ??= new LatencyCounts();
      point.latencies.add(durationMs);
    }
    if (queueMs === undefined) return;
    point.queueMs += queueMs;
    this.#waited.count++;
    this.#waited.ms += queueMs;
  }

  recordBatch(event: Pick<BatchEnded, Exclude<keyof BatchEnded, 'model'>>): void {
    this.#current();
    const { rows, reason, outcome, predictedMs, elapsedMs, calls, inputMs, outputMs, computeMs, startedAtMs } = event;
    count(this.#sent, reason);
    count(this.#sizes, 2 ** Math.ceil(Math.log2(Math.max(1, rows))));
    this.#rows += rows;
    if (outcome !== 'ok') return;
    this.#ran.count += calls.length;
    this.#ran.transferMs += (inputMs + outputMs) * calls.length;
    this.#ran.computeMs += computeMs * calls.length;
    if (predictedMs === undefined) return;
    this.#predicted.count++;
    if (elapsedMs <= predictedMs) this.#predicted.within++;
    this.#runs[this.#nextRun] = { atMs: startedAtMs, rows, predictedMs, ms: elapsedMs };
    this.#nextRun = (this.#nextRun + 1) % RUNS;
  }

  get figures(): VersionFigures {
    const slot = Math.floor(this.#now() / POINT_MS);
    const waited = this.#waited.count === 0 ? 0 : this.#waited.ms / this.#waited.count;
    const { count: ran, transferMs, computeMs } = this.#ran;
    const { count: predicted, within } = this.#predicted;
    return {
      rates: this.#rates(),
      latency: this.#latency(slot),
      outcomes: this.#outcomes,
      sent: this.#sent,
      sizes: this.#sizes,
      rows: this.#rows,
      stages: ran === 0 ? undefined : { waiting: waited, transfer: transferMs / ran, compute: computeMs / ran },
      withinPrediction: predicted === 0 ? undefined : within / predicted,
      points: this.#points.filter((point) => point.slot > slot - POINTS).map(shown),
      runs: [...this.#runs.slice(this.#nextRun), ...this.#runs.slice(0, this.#nextRun)],
    };
  }

  #current(): OpenPoint {
    const now = this.#now();
    this.changedAt = now;
    const slot = Math.floor(now / POINT_MS);
    const last = this.#points.at(-1);
    // A clock that was set back goes on in the last point.
    if (last !== undefined && last.slot >= slot) return last;
    if (last !== undefined) settle(last);
    const point = {
      slot,
      answered: 0,
      refused: 0,
      failed: 0,
      queueMs: 0,
      latencies: undefined,
      p50: undefined,
      p99: undefined,
    };
    this.#points.push(point);
    if (this.#points.length > POINTS) this.#points.shift();
    for (const old of this.#points) if (old.slot <= slot - LATENCY_POINTS) old.latencies = undefined;
    return point;
  }

  /** The rates at this moment: the part of the point that is not over counts with its part of the time. */
  #rates(): VersionFigures['rates'] {
    const now = this.#now();
    const slot = Math.floor(now / POINT_MS);
    const recent = this.#points.filter((point) => point.slot > slot - RATE_POINTS);
    const sum = (key: 'answered' | 'refused' | 'failed'): number => recent.reduce((all, point) => all + point[key], 0);
    const since = Math.max((slot - RATE_POINTS + 1) * POINT_MS, this.#startedAt);
    const seconds = Math.max(1, (now - since) / 1_000);
    return { answered: sum('answered') / seconds, refused: sum('refused') / seconds, failed: sum('failed') / seconds };
  }

  #latency(slot: number): VersionFigures['latency'] {
    const all = new LatencyCounts();
    for (const point of this.#points) {
      if (point.slot > slot - LATENCY_POINTS && point.latencies !== undefined) all.addAll(point.latencies);
    }
    const [p50, p90, p99] = [all.quantile(0.5), all.quantile(0.9), all.quantile(0.99)];
    if (p50 === undefined || p90 === undefined || p99 === undefined) return undefined;
    return { count: all.count, p50, p90, p99 };
  }
}

/** The quantiles of a point that is over never change again. */
function settle(point: OpenPoint): void {
  point.p50 = point.latencies?.quantile(0.5);
  point.p99 = point.latencies?.quantile(0.99);
}

function shown({ slot, answered, refused, failed, queueMs, latencies, p50, p99 }: OpenPoint): HistoryPoint {
  return {
    slot,
    answered,
    refused,
    failed,
    p50: p50 ?? latencies?.quantile(0.5),
    p99: p99 ?? latencies?.quantile(0.99),
    // Little's law: the time that all of them waited, over the time that passed.
    waiting: queueMs / POINT_MS,
  };
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
