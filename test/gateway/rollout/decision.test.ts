import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Decision, decide, type RolloutProgress } from '../../../src/gateway/rollout/decision.ts';
import type { Evidence, RequestEvidence, VersionCondition } from '../../../src/gateway/rollout/evidence.ts';
import { Latencies } from '../../../src/gateway/rollout/latencies.ts';
import { DEFAULT_COURSE, DEFAULT_LIMITS, type RolloutPlan } from '../../../src/gateway/rollout/rollout-plan.ts';
import { percentOf, type Stage, trafficOverrideOf } from '../../../src/gateway/rollout/stage.ts';

const PLAN: RolloutPlan = {
  model: 'm',
  from: '1',
  to: '2',
  ...DEFAULT_COURSE,
  limits: DEFAULT_LIMITS,
  expectations: 'the defaults',
};

const READY: VersionCondition = { state: 'READY', detail: '', breaker: 'closed', files: 'same' };
const ABSENT: VersionCondition = { state: 'ABSENT', detail: '', breaker: 'closed', files: 'unknown' };

function requests(count: number, ms = 5, failed = 0): RequestEvidence {
  const latencies = new Latencies();
  // Over ten seconds.
  for (let index = 0; index < count; index++) latencies.add(ms, (index * 10_000) / count);
  return { failed, lastFailure: failed > 0 ? 'internal' : undefined, latencies };
}

const COPIES: Evidence['copies'] = {
  compared: 0,
  agreeing: 0,
  disagreeing: 0,
  incomparable: 0,
  failed: 0,
  shed: 0,
  lastFailure: undefined,
  maxAbsolute: 0,
};

function seen(fields: Partial<Evidence> = {}): Evidence {
  return {
    from: READY,
    to: READY,
    crash: undefined,
    reconfigured: false,
    copies: COPIES,
    fromRequests: requests(0),
    toRequests: requests(0),
    ...fields,
  };
}

function copies(agreeing: number, disagreeing = 0, fields: Partial<Evidence['copies']> = {}): Pick<Evidence, 'copies'> {
  return { copies: { ...COPIES, compared: agreeing + disagreeing, agreeing, disagreeing, ...fields } };
}

const SHADOW: Stage = { kind: 'shadow' };
const canary = (step: number): Stage => ({ kind: 'canary', step });

function decided(stage: Stage, evidence: Evidence, elapsedMs = PLAN.holdMs, baselineP99Ms?: number): Decision {
  const progress: RolloutProgress = { stage, sinceMs: 1_000, baselineP99Ms };
  return decide(PLAN, progress, evidence, 1_000 + elapsedMs);
}

describe('a rollout', () => {
  test('begins to copy when both versions are READY and their files are read', () => {
    const loading: Stage = { kind: 'loading' };
    expect(decided(loading, seen({ to: ABSENT }))).toMatchObject({
      kind: 'pause',
      detail: 'version 2 is not loaded yet',
    });
    expect(decided(loading, seen({ to: { ...READY, files: 'unknown' } }))).toMatchObject({ kind: 'pause' });
    expect(decided(loading, seen({ from: { ...READY, files: 'unknown' } }))).toMatchObject({ kind: 'pause' });
    expect(decided(loading, seen())).toMatchObject({ kind: 'advance', stage: SHADOW });
    expect(decided(loading, seen({ to: { ...ABSENT, state: 'UNAVAILABLE', detail: 'golden row 3' } }))).toEqual({
      kind: 'roll_back',
      cause: 'not_ready',
      reason: 'version 2 is not ready: golden row 3',
    });
  });

  test('goes on to requests when enough was compared and agrees', () => {
    expect(decided(SHADOW, seen(copies(199)))).toMatchObject({ kind: 'wait' });
    expect(decided(SHADOW, seen(copies(200)))).toMatchObject({ kind: 'advance', stage: canary(0) });
    expect(decided(SHADOW, seen(copies(198, 2)))).toMatchObject({ kind: 'advance' });
  });

  test('waits where a limit is passed by what may be chance, and is rolled back where it may not', () => {
    expect(decided(SHADOW, seen(copies(197, 3)))).toMatchObject({
      kind: 'wait',
      detail: expect.stringContaining('98.5 % agree'),
    });
    expect(decided(SHADOW, seen(copies(100, 10)))).toEqual({
      kind: 'roll_back',
      cause: 'disagreement',
      reason: '90.9 % agree (100 of 110, at least 99 % must)',
    });
    // A model that answers nonsense is not copied two hundred times.
    expect(decided(SHADOW, seen(copies(0, 2)))).toMatchObject({ kind: 'roll_back', cause: 'disagreement' });
  });

  test.each([
    ['a process that ended', seen({ crash: 'killed by SIGSEGV' }), 'crashed'],
    ['one answer of another shape', seen(copies(1, 0, { incomparable: 1 })), 'incomparable'],
    ['copies that fail', seen(copies(10, 0, { failed: 5, lastFailure: 'invalid_data' })), 'errors'],
    ['a version that is gone', seen({ to: ABSENT }), 'not_ready'],
    ['the version before, which is gone', seen({ from: ABSENT }), 'not_ready'],
    ['files that were replaced', seen({ to: { ...READY, files: 'changed' } }), 'changed'],
    ['a configuration that says otherwise', seen({ reconfigured: true }), 'reconfigured'],
  ])('is rolled back because of %s, in shadow as in canary', (_, evidence, cause) => {
    for (const stage of [SHADOW, canary(0), canary(3)])
      expect(decided(stage, evidence)).toMatchObject({ kind: 'roll_back', cause });
  });

  test('takes its steps one by one, and ends with all requests', () => {
    const enough = seen({ fromRequests: requests(1_000), toRequests: requests(100) });
    expect(decided(canary(0), enough)).toMatchObject({ kind: 'advance', stage: canary(1) });
    expect(decided(canary(2), enough)).toMatchObject({ kind: 'advance', stage: canary(3) });
    expect(decided(canary(3), enough)).toMatchObject({ kind: 'advance', stage: { kind: 'promoted' } });
  });

  test('stays at a step as long as it is to last, and until enough is answered', () => {
    const enough = seen({ fromRequests: requests(1_000), toRequests: requests(100) });
    expect(decided(canary(0), enough, PLAN.holdMs - 1)).toMatchObject({
      kind: 'wait',
      detail: expect.stringContaining('1 s left'),
    });
    expect(decided(canary(0), seen({ toRequests: requests(99) }), 1e9)).toMatchObject({ kind: 'wait' });
  });

  test('is rolled back for more failures than the version before', () => {
    const failing = seen({ fromRequests: requests(1_000), toRequests: requests(90, 5, 10) });
    expect(decided(canary(0), failing)).toMatchObject({ kind: 'roll_back', cause: 'errors' });
    const bothFailing = seen({ fromRequests: requests(900, 5, 100), toRequests: requests(90, 5, 10) });
    expect(decided(canary(0), bothFailing)).toMatchObject({ kind: 'wait' });
    expect(decided(canary(0), seen({ ...bothFailing, toRequests: requests(180, 5, 19) }))).toMatchObject({
      kind: 'advance',
    });
    expect(decided(canary(0), seen({ to: { ...READY, breaker: 'open' } }))).toMatchObject({
      kind: 'roll_back',
      cause: 'errors',
    });
  });

  test('is rolled back for being slower than the version before, now or before the rollout', () => {
    const slow = seen({ fromRequests: requests(1_000, 20), toRequests: requests(100, 60) });
    expect(decided(canary(1), slow)).toMatchObject({ kind: 'roll_back', cause: 'slow' });
    const alone = seen({ toRequests: requests(100, 60) });
    expect(decided(canary(3), alone, PLAN.holdMs, 20)).toMatchObject({ kind: 'roll_back', cause: 'slow' });
    expect(decided(canary(3), alone, PLAN.holdMs, 45)).toMatchObject({ kind: 'advance' });
    // A few milliseconds are the scheduler's.
    expect(
      decided(canary(1), seen({ fromRequests: requests(1_000, 0.5), toRequests: requests(100, 4) })),
    ).toMatchObject({ kind: 'advance' });
  });

  test('does not take a machine that stops for a moment for a slow version', () => {
    const latencies = new Latencies();
    for (let second = 0; second < 10; second++) {
      for (let index = 0; index < 20; index++) latencies.add(second === 3 || second === 7 ? 500 : 5, second * 1_000);
    }
    const toRequests: RequestEvidence = { failed: 0, lastFailure: undefined, latencies };
    const fromRequests = requests(1_000);
    expect(decided(canary(1), seen({ fromRequests, toRequests }))).toMatchObject({ kind: 'advance' });
    for (let index = 0; index < 20; index++) latencies.add(500, 5_000);
    expect(decided(canary(1), seen({ fromRequests, toRequests }))).toMatchObject({ kind: 'roll_back', cause: 'slow' });
  });

  test('waits for a version that was slow for as long as it was seen', () => {
    const latencies = new Latencies();
    for (let index = 0; index < 200; index++) latencies.add(500, 100);
    const slow = seen({ fromRequests: requests(1_000), toRequests: { failed: 0, lastFailure: undefined, latencies } });
    expect(decided(canary(1), slow)).toMatchObject({
      kind: 'wait',
      detail: expect.stringContaining('more has to be seen'),
    });
  });

  test('pauses while the model is not loaded, as after a start of the server', () => {
    for (const stage of [SHADOW, canary(1)]) {
      expect(decided(stage, seen({ from: ABSENT, to: ABSENT }))).toMatchObject({ kind: 'pause' });
      expect(decided(stage, seen({ to: { ...ABSENT, state: 'LOADING' } }))).toMatchObject({ kind: 'pause' });
    }
  });
});

const condition = fc.record({
  state: fc.constantFrom('READY', 'READY', 'READY', 'LOADING', 'UNAVAILABLE', 'ABSENT'),
  detail: fc.constant('because'),
  breaker: fc.constantFrom('closed', 'closed', 'half-open', 'open'),
  files: fc.constantFrom('same', 'same', 'same', 'changed', 'unknown'),
}) as fc.Arbitrary<VersionCondition>;
const count = fc.oneof(fc.nat(5), fc.nat(300));
const requestEvidence = fc
  .tuple(count, fc.constantFrom(1, 10, 100), count)
  .map(([answered, ms, failed]) => requests(answered, ms, failed));
const evidences: fc.Arbitrary<Evidence> = fc.record({
  from: condition,
  to: condition,
  crash: fc.option(fc.constant('killed'), { nil: undefined, freq: 8 }),
  reconfigured: fc.constantFrom(false, false, false, true),
  copies: fc.record({
    compared: count,
    agreeing: count,
    disagreeing: count,
    incomparable: fc.constantFrom(0, 0, 0, 1),
    failed: count,
    shed: count,
    lastFailure: fc.constant(undefined),
    maxAbsolute: fc.constant(0),
  }),
  fromRequests: requestEvidence,
  toRequests: requestEvidence,
});
const stages: fc.Arbitrary<Stage> = fc.oneof(
  fc.constant<Stage>({ kind: 'loading' }),
  fc.constant<Stage>(SHADOW),
  fc.nat(3).map(canary),
);
const baselines = fc.option(fc.constantFrom(1, 10, 100), { nil: undefined });

describe('whatever was seen', () => {
  const outcome = (stage: Stage, evidence: Evidence, baseline: number | undefined): Decision =>
    decided(stage, evidence, 1e9, baseline);

  test('the share grows by one step at most, and only of a version that is READY, whole and within its limits', () => {
    fc.assert(
      fc.property(stages, evidences, baselines, (stage, evidence, baseline) => {
        const decision = outcome(stage, evidence, baseline);
        if (decision.kind !== 'advance') return;
        expect(evidence).toMatchObject({
          from: { state: 'READY', files: 'same' },
          to: { state: 'READY', files: 'same' },
        });
        const reached = PLAN.steps.indexOf(percentOf(stage, PLAN));
        const next =
          decision.stage.kind === 'promoted' ? PLAN.steps.length : PLAN.steps.indexOf(percentOf(decision.stage, PLAN));
        expect(next - reached).toBeLessThanOrEqual(1);
        if (stage.kind === 'loading') return;
        const { copies: c, toRequests, fromRequests } = evidence;
        expect(c.disagreeing).toBeLessThanOrEqual((c.agreeing + c.disagreeing) * 0.01 + 1e-9);
        expect({ crash: evidence.crash, incomparable: c.incomparable }).toEqual({ crash: undefined, incomparable: 0 });
        if (stage.kind === 'shadow') {
          expect(c.compared).toBeGreaterThanOrEqual(PLAN.comparisons);
          return;
        }
        expect(toRequests.latencies.count).toBeGreaterThanOrEqual(PLAN.requests);
        const share = ({ failed, latencies }: RequestEvidence): number =>
          failed === 0 ? 0 : failed / (failed + latencies.count);
        expect(share(toRequests)).toBeLessThanOrEqual(0.01 + share(fromRequests) + 1e-9);
      }),
      { numRuns: 5_000 },
    );
  });

  test('more that speaks against the new version never makes a decision better for it', () => {
    const rank = { roll_back: 0, pause: 1, wait: 1, advance: 2 } as const;
    fc.assert(
      fc.property(stages, evidences, baselines, fc.integer({ min: 1, max: 50 }), (stage, evidence, baseline, more) => {
        const before = rank[outcome(stage, evidence, baseline).kind];
        const { copies: c, toRequests } = evidence;
        const worse: Evidence[] = [
          { ...evidence, copies: { ...c, compared: c.compared, disagreeing: c.disagreeing + more } },
          { ...evidence, toRequests: { ...toRequests, failed: toRequests.failed + more } },
          { ...evidence, crash: 'killed' },
          { ...evidence, copies: { ...c, incomparable: 1 } },
        ];
        for (const each of worse) expect(rank[outcome(stage, each, baseline).kind]).toBeLessThanOrEqual(before);
      }),
      { numRuns: 3_000 },
    );
  });

  test('requests are spread so that all of them have a version, and copies only go to the new one', () => {
    const over: Stage[] = [{ kind: 'promoted' }, { kind: 'rolled_back', cause: 'slow', reason: '' }];
    fc.assert(
      fc.property(fc.oneof(stages, fc.constantFrom(...over)), (stage) => {
        const { split, shadow } = trafficOverrideOf(stage, PLAN);
        expect([...split.values()].reduce((sum, share) => sum + share, 0)).toBe(100);
        expect(split.get('2') ?? 0).toBe(percentOf(stage, PLAN));
        const copied = stage.kind === 'shadow' || stage.kind === 'canary';
        const share = copied ? PLAN.shadowShare : 0;
        expect(shadow).toEqual(split.has('1') ? { version: '2', share } : undefined);
      }),
    );
  });
});
