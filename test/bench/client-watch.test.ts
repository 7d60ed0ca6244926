import { expect, test } from 'vitest';
import { type BottleneckFacts, bottleneckOf, ClientWatch } from '../../src/bench/client-watch.ts';

const IDLE: BottleneckFacts = { loopBusy: 0.2, cpu: 0.2, lagP99Ms: 1, p50Ms: 20, p99Ms: 40, lateShare: 0 };

test.each<[string, Partial<BottleneckFacts>, string | undefined]>([
  ['is idle', {}, undefined],
  ['has a busy event loop', { loopBusy: 0.95 }, 'its event loop was busy 95 % of the time'],
  ['uses a whole core', { cpu: 0.93 }, 'its event loop was busy 93 % of the time'],
  ['sends late', { lateShare: 0.03 }, '3.0 % of the calls were sent more than 5 ms late'],
  ['receives late', { lagP99Ms: 12 }, 'its event loop ran up to 12 ms late'],
  ['is late by little beside the latency of the server', { lagP99Ms: 12, p99Ms: 400 }, undefined],
])('the client that %s: bottleneck or not', (_, facts, reason) => {
  expect(bottleneckOf({ ...IDLE, ...facts })).toBe(reason);
});

test('a process that computes without a pause is found busy', async () => {
  const watch = new ClientWatch();
  const end = performance.now() + 200;
  while (performance.now() < end) await new Promise((resolve) => setImmediate(resolve));
  const use = watch.end();
  expect(use.loopBusy).toBeGreaterThan(0.9);
  expect(use.cpu).toBeGreaterThan(0);
});
