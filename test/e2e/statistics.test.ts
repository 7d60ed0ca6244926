/** ModelStatistics, and what perf_analyzer relies on in it: where that does not hold, it throws. */

import { describe, expect, test } from 'vitest';
import { identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import type { Message } from '../support/stock-client.ts';
import { BROKEN, floats, identityRequest, loopRequest, oneInstance, SERVED, VERSIONS } from './protocol-requests.ts';

const fixture = useServer(
  { ...SERVED, ...BROKEN, versions: VERSIONS, counted: oneInstance(identityModel('FP32')) },
  { flags: ['--log-level', 'silent'] },
);

describe('ModelStatistics', () => {
  const ZERO = { count: '0', ns: '0' };
  const DURATIONS = [
    'success',
    'fail',
    'queue',
    'compute_input',
    'compute_infer',
    'compute_output',
    'cache_hit',
    'cache_miss',
    'cancel',
    'reject',
  ];

  async function statisticsOf(name: string): Promise<Message> {
    const { model_stats } = await fixture.client.call('ModelStatistics', { name });
    expect(model_stats).toHaveLength(1);
    return model_stats[0];
  }

  /** What perf_analyzer relies on, and throws for where it does not hold. */
  function expectConsistent({ inference_count, execution_count, inference_stats: stats, batch_stats }: Message): void {
    for (const name of ['queue', 'compute_input', 'compute_infer', 'compute_output']) {
      expect(stats[name].count).toBe(stats.success.count);
    }
    expect([stats.cache_hit, stats.cache_miss]).toEqual([ZERO, ZERO]);
    let rows = 0;
    let runs = 0;
    for (const { batch_size, ...durations } of batch_stats) {
      const counts = new Set(['compute_input', 'compute_infer', 'compute_output'].map((name) => durations[name].count));
      expect(counts.size).toBe(1);
      rows += Number(batch_size) * Number([...counts][0]);
      runs += Number([...counts][0]);
    }
    expect({ rows, runs }).toEqual({ rows: Number(inference_count), runs: Number(execution_count) });
    const parts = ['queue', 'compute_input', 'compute_infer', 'compute_output'].map((name) => Number(stats[name].ns));
    expect(parts.reduce((sum, ns) => sum + ns, 0)).toBeLessThanOrEqual(Number(stats.success.ns));
  }

  test('are all zero before the first request', async () => {
    expect(await statisticsOf('counted')).toMatchObject({
      name: 'counted',
      version: '1',
      last_inference: '0',
      inference_count: '0',
      execution_count: '0',
      inference_stats: Object.fromEntries(DURATIONS.map((name) => [name, ZERO])),
      batch_stats: [],
    });
  });

  test('count requests, rows and runs', async () => {
    const before = Date.now();
    for (const rows of [1, 1, 3]) {
      const input = { name: 'input', datatype: 'FP32', shape: [rows, 4] };
      await fixture.client.infer({
        model_name: 'counted',
        inputs: [input],
        raw_input_contents: [Buffer.alloc(rows * 16)],
      });
    }
    await fixture.client.refusal('ModelInfer', identityRequest('counted', { raw_input_contents: [floats(1)] }));
    const statistics = await statisticsOf('counted');
    expect(statistics).toMatchObject({
      inference_count: '5',
      execution_count: '3',
      inference_stats: { success: { count: '3' }, fail: { count: '1' } },
    });
    expect(
      statistics['batch_stats'].map(({ batch_size, compute_infer }: Message) => [batch_size, compute_infer.count]),
    ).toEqual([
      ['1', '2'],
      ['3', '1'],
    ]);
    expect(Number(statistics['last_inference'])).toBeGreaterThanOrEqual(before);
    expect(Number(statistics['last_inference'])).toBeLessThanOrEqual(Date.now());
    expectConsistent(statistics);
  });

  test('charge a batch once, and each of its requests the whole run', async () => {
    // While the first one runs, the others gather.
    const requests = Array.from({ length: 20 }, () => loopRequest(100));
    await Promise.all(requests.map((request) => fixture.client.infer(request)));
    const statistics = await statisticsOf('loop');
    expectConsistent(statistics);
    expect(Number(statistics['execution_count'])).toBeLessThan(20);
    const { compute_infer } = statistics['inference_stats'];
    const ran = statistics['batch_stats'].reduce(
      (sum: number, batch: Message) => sum + Number(batch['compute_infer'].ns),
      0,
    );
    expect(Number(compute_infer.ns)).toBeGreaterThan(ran);
  });

  test('only grow', async () => {
    const [before, , after] = [
      await statisticsOf('counted'),
      await fixture.client.infer(identityRequest('counted')),
      await statisticsOf('counted'),
    ];
    for (const name of DURATIONS) {
      for (const part of ['count', 'ns']) {
        expect(Number(after['inference_stats'][name][part])).toBeGreaterThanOrEqual(
          Number(before['inference_stats'][name][part]),
        );
      }
    }
    expect(Number(after['inference_count'])).toBe(Number(before['inference_count']) + 1);
  });

  test('cover every READY version, of all models or of one, or the requested version', async () => {
    const namesOf = ({ model_stats }: Message): string[] =>
      model_stats.map(({ name, version }: Message) => `${name}:${version}`);
    expect(namesOf(await fixture.client.call('ModelStatistics', { name: 'versions' }))).toEqual([
      'versions:1',
      'versions:3',
    ]);
    expect(namesOf(await fixture.client.call('ModelStatistics', { name: 'versions', version: '3' }))).toEqual([
      'versions:3',
    ]);
    const all = namesOf(await fixture.client.call('ModelStatistics'));
    expect(all).toEqual(expect.arrayContaining(['sum:1', 'versions:1', 'versions:3', 'loop:1']));
    expect(all.filter((name) => /^(broken|misconfigured|versions:10)/.test(name))).toEqual([]);
  });

  test.each([
    [{ name: 'nope' }, "requested model 'nope' is not available"],
    [{ name: 'broken' }, "requested model 'broken' is not available"],
    [{ name: 'sum', version: '9' }, "requested model version is not available for model 'sum'"],
  ])('requests with %j are refused', async (request, text) => {
    expect(await fixture.client.refusal('ModelStatistics', request)).toMatchObject({ code: 'NOT_FOUND', text });
  });
});
