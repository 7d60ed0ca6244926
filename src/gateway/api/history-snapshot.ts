/** Recorded history as the page reads it. Latencies keep three digits. */

import type { EventSnapshot, FiguresSnapshot, PointSnapshot } from '../accept/page/snapshot.ts';
import type { NotableEvent } from '../ops/history/notable-events.ts';
import { type HistoryPoint, POINT_MS, type VersionHistory } from '../ops/history/version-history.ts';

/** @param sinceMs leaves out points that were over, and runs that were sent, before; without it, everything is shown. */
export function figuresOf(history: VersionHistory | undefined, sinceMs = 0): FiguresSnapshot | null {
  if (history === undefined) return null;
  const { rates, latency, outcomes, sent, sizes, rows, stages, withinPrediction, points, runs } = history.figures;
  // The point before may have ended after the document before.
  const firstSlot = Math.floor(sinceMs / POINT_MS) - 1;
  return {
    answered_per_s: short(rates.answered),
    refused_per_s: short(rates.refused),
    failed_per_s: short(rates.failed),
    latency:
      latency === undefined
        ? null
        : { count: latency.count, p50: short(latency.p50), p90: short(latency.p90), p99: short(latency.p99) },
    outcomes: Object.fromEntries(outcomes),
    sent: Object.fromEntries(sent),
    sizes: [...sizes].sort(([a], [b]) => a - b),
    rows,
    stages:
      stages === undefined
        ? null
        : { waiting: short(stages.waiting), transfer: short(stages.transfer), compute: short(stages.compute) },
    within_prediction: withinPrediction === undefined ? null : Number(withinPrediction.toFixed(4)),
    points: points.filter(({ slot }) => slot >= firstSlot).map(pointOf),
    // A run is known when it is over: one that was sent before may have ended after the document before.
    runs: runs
      .filter(({ atMs, ms }) => atMs + ms >= sinceMs)
      .map(({ atMs, rows, predictedMs, ms }) => [atMs, rows, short(predictedMs), short(ms)] as const),
  };
}

function pointOf({ slot, answered, refused, failed, p50, p99, waiting }: HistoryPoint): PointSnapshot {
  const known = (ms: number | undefined): number | null => (ms === undefined ? null : short(ms));
  return [slot, answered, refused, failed, known(p50), known(p99), short(waiting)];
}

export function eventOf(event: NotableEvent): EventSnapshot {
  const common = { kind: event.kind, at_ms: event.atMs, stage: null, repeated: null, back_after_ms: null };
  switch (event.kind) {
    case 'runner_ended': {
      const [model] = event.models;
      return {
        ...common,
        model: model?.name ?? '',
        version: model?.version ?? '',
        text: event.cause,
        repeated: event.repeated,
        back_after_ms: event.backAfterMs ?? null,
      };
    }
    case 'start_failed':
      return { ...common, model: event.model.name, version: event.model.version, text: event.cause };
    case 'breaker':
      return { ...common, model: event.model.name, version: event.model.version, text: event.state };
    case 'unavailable':
      return { ...common, model: event.model.name, version: event.model.version, text: event.reason };
    case 'rollout':
      return { ...common, model: event.model, version: event.to, text: event.text, stage: event.stage };
  }
}

function short(value: number): number {
  return Number(value.toPrecision(3));
}
