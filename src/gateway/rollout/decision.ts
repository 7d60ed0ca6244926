/**
 * The next step of a rollout: a pure function of the plan, its state, its observations and the time.
 *
 * DECIDE-1: the new version gets more only if every limited figure is within its limit, and enough was observed to know.
 * DECIDE-2: it gets nothing at all as soon as one limit is broken beyond chance (significance.ts), it crashed, or it is gone.
 * DECIDE-3: between the two it waits. Time by itself never moves it.
 */

import type { Evidence, RequestEvidence, VersionCondition } from './evidence.ts';
import type { RolloutPlan } from './rollout-plan.ts';
import { exceeds } from './significance.ts';
import { isOver, percentOf, type RollbackCause, type Stage } from './stage.ts';

/** Progress of a rollout: its stage, since when, and the latency to compare with. */
export interface RolloutProgress {
  readonly stage: Stage;
  /**
   * When the stage began, or was taken up again, on the clock of `performance.now()`. That clock starts with the process, so a
   * server that restarts begins the hold of a step again.
   */
  readonly sinceMs: number;
  /** The 99th percentile of the version before when it answered everything, in milliseconds, where that is known. */
  readonly baselineP99Ms: number | undefined;
}

export type Decision =
  /** More has to be seen. */
  | { readonly kind: 'wait'; readonly detail: string }
  /** Nothing can be observed at the moment, and earlier observations no longer count. */
  | { readonly kind: 'pause'; readonly detail: string }
  /** @param reason what held */
  | { readonly kind: 'advance'; readonly stage: Stage; readonly reason: string }
  | { readonly kind: 'roll_back'; readonly cause: RollbackCause; readonly reason: string };

/** Fewer requests have no 99th percentile. */
const MIN_P99_REQUESTS = 100;
/** Share of a version's requests that may be slower than the 99th percentile. */
const SLOW_SHARE = 0.01;
/** Slices of time that are left out, the worst ones: a machine that stops for a moment makes all slow that are on their way. */
const STALLS = 2;
/** Time that a scheduler or a garbage collection adds to a request, in milliseconds: small latencies have no meaningful ratio. */
const JITTER_MS = 5;

export function decide(plan: RolloutPlan, progress: RolloutProgress, evidence: Evidence, nowMs: number): Decision {
  const { stage } = progress;
  if (isOver(stage)) return { kind: 'wait', detail: 'it is over' };
  return (
    obstacleOf(plan, stage, evidence) ??
    pauseOf(plan, stage, evidence) ??
    (stage.kind === 'loading' ? loaded(plan) : undefined) ??
    brokenOf(plan, progress, evidence) ??
    advanceOf(plan, progress, evidence, nowMs)
  );
}

/** @returns why the rollout cannot go on, whatever was counted */
function obstacleOf({ from, to }: RolloutPlan, stage: Stage, evidence: Evidence): Decision | undefined {
  const { from: before, to: after } = evidence;
  if (after.state === 'UNAVAILABLE') return rollBack('not_ready', `version ${to} is not ready: ${after.detail}`);
  // Where both are gone, the model was unloaded, or is not loaded yet.
  const gone = after.state === 'ABSENT' ? to : from;
  if (stage.kind !== 'loading' && (after.state === 'ABSENT') !== (before.state === 'ABSENT')) {
    return rollBack('not_ready', `version ${gone} is gone`);
  }
  for (const [version, { files }] of [
    [from, before],
    [to, after],
  ] as const) {
    if (files !== 'changed') continue;
    return rollBack('changed', `the files of version ${version} are not those that the rollout began with`);
  }
  if (evidence.reconfigured) {
    return rollBack('reconfigured', `the configuration of the model spreads its requests otherwise now: it counts`);
  }
  return evidence.crash === undefined ? undefined : rollBack('crashed', `version ${to} crashed: ${evidence.crash}`);
}

function pauseOf({ from, to }: RolloutPlan, stage: Stage, evidence: Evidence): Decision | undefined {
  if (evidence.from.state === 'ABSENT' && evidence.to.state === 'ABSENT' && stage.kind !== 'loading') {
    return { kind: 'pause', detail: 'the model is not loaded' };
  }
  const unready = ([version, { state, files, detail }]: readonly [string, VersionCondition]): string | undefined => {
    if (state === 'READY') return files === 'unknown' ? `the files of version ${version} are read` : undefined;
    return `version ${version} is ${state === 'ABSENT' ? 'not loaded yet' : `${state}: ${detail}`}`;
  };
  const detail = unready([to, evidence.to]) ?? unready([from, evidence.from]);
  return detail === undefined ? undefined : { kind: 'pause', detail };
}

function loaded({ to }: RolloutPlan): Decision {
  return { kind: 'advance', stage: { kind: 'shadow' }, reason: `version ${to} is READY` };
}

/** A limit that is broken beyond chance. */
function brokenOf(plan: RolloutPlan, progress: RolloutProgress, evidence: Evidence): Decision | undefined {
  const { limits, to } = plan;
  const { copies, toRequests } = evidence;
  if (copies.incomparable > 0) {
    const text = `version ${to} lacks an output of version ${plan.from}, or gives it another datatype or shape`;
    return rollBack('incomparable', text);
  }
  if (exceeds(copies.disagreeing, copies.agreeing + copies.disagreeing, 1 - limits.minAgreement)) {
    return rollBack('disagreement', agreementText(plan, evidence));
  }
  const copied = copies.compared + copies.failed;
  if (exceeds(copies.failed, copied, limits.maxErrorRate)) {
    const text = `${copies.failed} of ${copied} copies failed (the last with ${copies.lastFailure}), at most ${percent(limits.maxErrorRate)} may`;
    return rollBack('errors', text);
  }
  if (progress.stage.kind !== 'canary') return undefined;
  if (evidence.to.breaker === 'open') {
    return rollBack('errors', `the circuit breaker of version ${to} is open: ${errorText(plan, evidence)}`);
  }
  const asked = toRequests.latencies.count + toRequests.failed;
  if (exceeds(toRequests.failed, asked, errorLimit(plan, evidence))) {
    return rollBack('errors', `${errorText(plan, evidence)} (the last with ${toRequests.lastFailure})`);
  }
  const limitMs = latencyLimit(plan, progress, evidence);
  if (limitMs === undefined) return undefined;
  const steady = toRequests.latencies.withoutWorst(STALLS, limitMs);
  if (!exceeds(steady.above(limitMs), steady.count, SLOW_SHARE)) return undefined;
  return rollBack('slow', latencyText(plan, progress, evidence));
}

function advanceOf(plan: RolloutPlan, progress: RolloutProgress, evidence: Evidence, nowMs: number): Decision {
  const { stage, sinceMs } = progress;
  const { copies, toRequests } = evidence;
  const unclear = unclearOf(plan, progress, evidence);
  if (stage.kind !== 'canary') {
    const seen = `${copies.compared} of ${plan.comparisons} comparisons${copies.compared === 0 ? '' : `, ${agreementText(plan, evidence)}`}`;
    if (copies.compared < plan.comparisons) return { kind: 'wait', detail: seen };
    if (unclear !== undefined) return { kind: 'wait', detail: unclear };
    const reason = `${copies.compared} comparisons, ${agreementText(plan, evidence)}`;
    return { kind: 'advance', stage: { kind: 'canary', step: 0 }, reason };
  }
  const leftMs = sinceMs + plan.holdMs - nowMs;
  const answered = toRequests.latencies.count;
  if (answered < plan.requests || leftMs > 0) {
    const rest = leftMs > 0 ? `, ${Math.ceil(leftMs / 1000)} s left` : '';
    return { kind: 'wait', detail: `${answered} of ${plan.requests} requests answered${rest}` };
  }
  if (unclear !== undefined) return { kind: 'wait', detail: unclear };
  const next: Stage =
    stage.step + 1 < plan.steps.length ? { kind: 'canary', step: stage.step + 1 } : { kind: 'promoted' };
  const parts = [`${answered} requests answered`, errorText(plan, evidence), latencyText(plan, progress, evidence)];
  if (percentOf(stage, plan) < 100 && copies.compared > 0) parts.push(agreementText(plan, evidence));
  return { kind: 'advance', stage: next, reason: parts.join(', ') };
}

/** A limit that is passed, but not beyond chance. */
function unclearOf(plan: RolloutPlan, progress: RolloutProgress, evidence: Evidence): string | undefined {
  const { copies, toRequests } = evidence;
  const { limits } = plan;
  if (copies.disagreeing > (copies.agreeing + copies.disagreeing) * (1 - limits.minAgreement)) {
    return `${agreementText(plan, evidence)}: more has to be seen`;
  }
  if (copies.failed > (copies.compared + copies.failed) * limits.maxErrorRate) {
    return `${copies.failed} of ${copies.compared + copies.failed} copies failed: more have to be seen`;
  }
  if (progress.stage.kind !== 'canary') return undefined;
  const answered = toRequests.latencies.count;
  if (toRequests.failed > (answered + toRequests.failed) * errorLimit(plan, evidence)) {
    return `${errorText(plan, evidence)}: more has to be seen`;
  }
  const limitMs = latencyLimit(plan, progress, evidence);
  if (limitMs === undefined || isFastEnough(toRequests.latencies, limitMs)) return undefined;
  return `${latencyText(plan, progress, evidence)}: more has to be seen`;
}

/** Whether few are slower than the limit: of all, or of most, where the others are of a moment or two. */
function isFastEnough(latencies: RequestEvidence['latencies'], limitMs: number): boolean {
  if (latencies.above(limitMs) <= latencies.count * SLOW_SHARE) return true;
  const steady = latencies.withoutWorst(STALLS, limitMs);
  return steady.count >= latencies.count / 2 && steady.above(limitMs) <= steady.count * SLOW_SHARE;
}

/** Allowed failures of the new version: failures that the previous version has too are not its fault. */
function errorLimit({ limits }: RolloutPlan, { fromRequests: { failed, latencies } }: Evidence): number {
  return limits.maxErrorRate + (failed === 0 ? 0 : failed / (failed + latencies.count));
}

/** The 99th percentile of the version before: beside the new one, otherwise from when it answered everything. */
function referenceP99(
  plan: RolloutPlan,
  { stage, baselineP99Ms }: RolloutProgress,
  { fromRequests }: Evidence,
): number | undefined {
  const { latencies } = fromRequests;
  const isBeside = percentOf(stage, plan) < 100 && latencies.count >= MIN_P99_REQUESTS;
  return isBeside ? latencies.quantile(1 - SLOW_SHARE) : baselineP99Ms;
}

function latencyLimit(plan: RolloutPlan, progress: RolloutProgress, evidence: Evidence): number | undefined {
  const reference = referenceP99(plan, progress, evidence);
  return reference === undefined ? undefined : reference * plan.limits.maxP99Ratio + JITTER_MS;
}

/** The 99th percentile of the version before in this stage, where enough was seen: what later steps are compared with. */
export function baselineOf({ fromRequests: { latencies } }: Evidence): number | undefined {
  return latencies.count >= MIN_P99_REQUESTS ? latencies.quantile(1 - SLOW_SHARE) : undefined;
}

function rollBack(cause: RollbackCause, reason: string): Decision {
  return { kind: 'roll_back', cause, reason };
}

function agreementText({ limits }: RolloutPlan, { copies }: Evidence): string {
  const { agreeing, disagreeing } = copies;
  const whole = agreeing + disagreeing;
  return `${percent(whole === 0 ? 1 : agreeing / whole)} agree (${agreeing} of ${whole}, at least ${percent(limits.minAgreement)} must)`;
}

function errorText(plan: RolloutPlan, evidence: Evidence): string {
  const { failed, latencies } = evidence.toRequests;
  return `${failed} of ${failed + latencies.count} requests failed, at most ${percent(errorLimit(plan, evidence))} may`;
}

function latencyText(plan: RolloutPlan, progress: RolloutProgress, evidence: Evidence): string {
  const { latencies } = evidence.toRequests;
  const reference = referenceP99(plan, progress, evidence);
  const limit = latencyLimit(plan, progress, evidence);
  if (reference === undefined || limit === undefined) {
    return `p99 ${latencies.quantile(1 - SLOW_SHARE).toFixed(1)} ms beside nothing: version ${plan.from} had too few requests`;
  }
  const p99 = latencies.withoutWorst(STALLS, limit).quantile(1 - SLOW_SHARE);
  return `p99 ${p99.toFixed(1)} ms beside ${reference.toFixed(1)} ms (at most ${limit.toFixed(1)} ms)`;
}

function percent(share: number): string {
  // Rounded down, so that only all is 100 %.
  return `${Math.floor(share * 10_000 + 1e-9) / 100} %`;
}
