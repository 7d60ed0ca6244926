/** The response cache, as clients, statistics and metrics see it. */

import { describe, expect, test, vi } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { askLoop } from '../faults/loop-requests.ts';
import { type Metrics, readMetrics } from '../faults/observation.ts';
import { Stall } from '../faults/stall.ts';
import { additionModel, loopModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { useServer } from '../support/server-fixture.ts';
import { type Message, StockClient } from '../support/stock-client.ts';
import { floats } from './protocol-requests.ts';

const CACHED = { instance_group: [{ count: 1 }], response_cache: { enable: true } };

function request(...values: readonly number[]): Message {
  const input = { name: 'input', datatype: 'FP32', shape: [values.length, 1] };
  return { model_name: 'cached', inputs: [input], raw_input_contents: [floats(...values)] };
}

async function statisticsOf(client: StockClient, name: string): Promise<Message> {
  const { model_stats } = await client.call('ModelStatistics', { name });
  return model_stats[0];
}

function counts({ inference_stats }: Message): Record<string, number> {
  return Object.fromEntries(Object.entries<Message>(inference_stats).map(([name, { count }]) => [name, Number(count)]));
}

describe('a model with a response cache', () => {
  const fixture = useServer({ cached: { versions: { 1: additionModel(1) }, config: CACHED } });
  const labels = { model: 'cached', version: '1' };

  test('gives the same answer again without a run, with the id of the request', async () => {
    const first = await fixture.client.infer({ ...request(1, 2), id: 'first' });
    const again = await fixture.client.infer({ ...request(1, 2), id: 'again' });
    expect(again).toEqual({ ...first, id: 'again' });
    expect(await fixture.client.infer(request(1))).not.toEqual(first);
    const statistics = await statisticsOf(fixture.client, 'cached');
    expect(statistics).toMatchObject({ execution_count: '2', inference_count: '3' });
    // What perf_analyzer relies on.
    expect(counts(statistics)).toMatchObject({
      success: 3,
      queue: 3,
      compute_input: 2,
      compute_infer: 2,
      compute_output: 2,
      cache_hit: 1,
      cache_miss: 2,
      fail: 0,
    });
  });

  test('shows hits, misses and bytes in its metrics', async () => {
    let metrics: Metrics = await readMetrics(fixture.server);
    const before = ['hit', 'miss'].map((outcome) => metrics('tensorgate_cache_requests_total', { ...labels, outcome }));
    const bytes = metrics('tensorgate_cache_bytes', labels);
    for (let time = 0; time < 3; time++) await fixture.client.infer(request(0.5));
    metrics = await readMetrics(fixture.server);
    const after = ['hit', 'miss'].map((outcome) => metrics('tensorgate_cache_requests_total', { ...labels, outcome }));
    expect(after).toEqual([(before[0] ?? 0) + 2, (before[1] ?? 0) + 1]);
    expect(metrics('tensorgate_cache_bytes', labels)).toBeGreaterThan(bytes);
  });

  test('says so in its ModelConfig', async () => {
    const { config } = await fixture.client.call('ModelConfig', { name: 'cached' });
    expect(config.response_cache).toEqual({ enable: true });
  });
});

test('equal requests that wait together share one run', async () => {
  using repository = new Repository({ loop: { versions: { 1: loopModel() }, config: CACHED } });
  await using server = await startServer(repository.directory);
  using client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
  using stock = new StockClient(server.grpc);
  await using stall = await Stall.begin(server, client);
  const leaving = new AbortController();
  const left = askLoop(client, 7, { signal: leaving.signal }).catch(({ status }) => status);
  const answers = [7, 7, 7].map((value) => askLoop(client, value));
  const holds = (count: number): Promise<boolean> =>
    vi.waitUntil(async () => (await readMetrics(server))('tensorgate_in_flight_requests') === count, {
      timeout: 10_000,
    });
  await holds(5);
  expect((await readMetrics(server))('tensorgate_queue_depth', { model: 'loop' })).toBe(1);
  // The first to come may go: the others are answered all the same.
  leaving.abort();
  await holds(4);
  await stall.end();
  expect(await left).toBe('CANCELLED');
  expect(await Promise.all(answers)).toEqual([7, 7, 7]);
  const statistics = await statisticsOf(stock, 'loop');
  expect(statistics).toMatchObject({ execution_count: '2', inference_count: '2' });
  expect(counts(statistics)).toMatchObject({ success: 4, cache_miss: 2, cache_hit: 2, compute_infer: 2, queue: 4 });
});

test('a version that is loaded again answers for itself', async () => {
  using repository = new Repository({ cached: { versions: { 1: additionModel(1) }, config: CACHED } });
  const flags = ['--model-control-mode', 'explicit', '--load-model', '*'];
  await using server = await startServer(repository.directory, { flags });
  using client = new StockClient(server.grpc);
  const ask = async (): Promise<Buffer> => (await client.infer(request(1)))['raw_output_contents'][0];
  expect([await ask(), await ask()]).toEqual([floats(2), floats(2)]);
  repository.add('cached', { versions: { 1: additionModel(5) }, config: CACHED });
  await client.call('RepositoryModelLoad', { model_name: 'cached' });
  expect(await ask()).toEqual(floats(6));
});
