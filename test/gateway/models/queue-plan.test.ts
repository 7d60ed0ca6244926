import { expect, test } from 'vitest';
import { NO_TERMS } from '../../../src/gateway/admit/request-terms.ts';
import { timeLimitMs } from '../../../src/gateway/batch/queue-policy.ts';
import { queuePolicies } from '../../../src/gateway/models/queue-plan.ts';
import { MODEL_CONFIG } from '../../../src/gateway/repository/config/model-config.ts';

const FOREVER = Number.POSITIVE_INFINITY;

function planned(dynamic_batching: object): ReturnType<typeof queuePolicies> {
  return queuePolicies(MODEL_CONFIG.parse({ dynamic_batching }));
}

function levelOf(policies: ReturnType<typeof queuePolicies>, priority: number): number {
  return policies.levelOf({ ...NO_TERMS, priority });
}

test('without a configuration there is one level, of 1024 requests without a time', () => {
  const policies = planned({});
  expect(policies.levels).toBe(1);
  expect([0, 1, 5].map((priority) => levelOf(policies, priority))).toEqual([1, 1, 1]);
  expect(policies.at(1)).toEqual({
    maxRequests: 1_024,
    defaultTimeoutMs: FOREVER,
    allowTimeoutOverride: true,
    timeoutAction: 'reject',
  });
});

test('a level has its own policy, or the default one', () => {
  const policies = planned({
    priority_levels: 3,
    default_priority_level: 2,
    default_queue_policy: { max_queue_size: 7, default_timeout_microseconds: 1_500 },
    priority_queue_policy: { 3: { timeout_action: 'DELAY', max_queue_size: 0, allow_timeout_override: false } },
  });
  expect([0, 1, 2, 3, 4, 2 ** 64].map((priority) => levelOf(policies, priority))).toEqual([2, 1, 2, 3, 2, 2]);
  expect([1, 2].map((level) => policies.at(level))).toEqual(
    Array(2).fill({ maxRequests: 7, defaultTimeoutMs: 1.5, allowTimeoutOverride: true, timeoutAction: 'reject' }),
  );
  expect(policies.at(3)).toEqual({
    maxRequests: FOREVER,
    defaultTimeoutMs: FOREVER,
    allowTimeoutOverride: false,
    timeoutAction: 'delay',
  });
});

test.each([
  { default_timeout_microseconds: 0, timeoutMs: undefined, expected: FOREVER },
  { default_timeout_microseconds: 0, timeoutMs: 5, expected: 5 },
  { default_timeout_microseconds: 9_000, timeoutMs: undefined, expected: 9 },
  { default_timeout_microseconds: 9_000, timeoutMs: 5, expected: 5 },
  { default_timeout_microseconds: 9_000, timeoutMs: 50, expected: 9 },
  { default_timeout_microseconds: 9_000, allow_timeout_override: false, timeoutMs: 5, expected: 9 },
  { default_timeout_microseconds: 0, allow_timeout_override: false, timeoutMs: 5, expected: FOREVER },
])(
  'the shorter of two times counts, and the time of a request only where the policy allows it: %o',
  ({ timeoutMs, expected, ...policy }) => {
    const policies = planned({ default_queue_policy: policy });
    expect(timeLimitMs(policies.at(1), { ...NO_TERMS, timeoutMs })).toBe(expected);
  },
);
