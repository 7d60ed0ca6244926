/** What operators see of a real server: traces at a collector, metrics that count what happened, readiness. */

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { attributesOf, type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../gateway/ops/otlp-receiver.ts';
import { type Family, parsePrometheusText, sampleValue } from '../gateway/ops/prometheus-text.ts';
import { identityModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';

const ROW = tensor.fp32([1, 2, 3, 4], [1, 4]);
const INFER = 'inference.GRPCInferenceService/ModelInfer';
const STREAM_INFER = 'inference.GRPCInferenceService/ModelStreamInfer';
const SERVER_KIND = 2;

interface Page {
  readonly status: number;
  readonly text: string;
}

async function get(server: TestServer, path: string): Promise<Page> {
  const response = await fetch(`${server.http}${path}`);
  return { status: response.status, text: await response.text() };
}

async function readMetrics(server: TestServer): Promise<ReadonlyMap<string, Family>> {
  return parsePrometheusText((await get(server, '/metrics')).text);
}

describe('traces', () => {
  /** A trace and a span of each caller, and the metadata that says so. */
  const CALLERS = {
    w3c: {
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      spanId: '00f067aa0ba902b7',
      metadata: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
    },
    'single b3 header': {
      traceId: '80f198ee56343ba864fe8b2a57d3eff7',
      spanId: 'e457b5a2e4d86bd1',
      metadata: { b3: '80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1' },
    },
    'several b3 headers': {
      traceId: '463ac35c9f6413ad48485a3953bb6124',
      spanId: 'a2fb4a1d1a96d312',
      metadata: {
        'x-b3-traceid': '463ac35c9f6413ad48485a3953bb6124',
        'x-b3-spanid': 'a2fb4a1d1a96d312',
        'x-b3-sampled': '1',
      },
    },
  };
  const UNSAMPLED = '0af7651916cd43dd8448eb211c80319c';
  const STREAMED = '5b8efff798038103d269b633813fc60c';

  let collector: OtlpReceiver;

  beforeAll(async () => {
    collector = await startOtlpReceiver();
    using repository = new Repository({ echo: identityModel('FP32') });
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'], env });
    using client = new InferenceClient(server.grpc);
    for (const { metadata } of Object.values(CALLERS)) await client.infer('echo', { input: ROW }, { metadata });
    await client.infer('echo', { input: ROW }, { metadata: { traceparent: `00-${UNSAMPLED}-b7ad6b7169203331-00` } });
    const streamed = { model: 'echo', inputs: { input: ROW } };
    const metadata = { traceparent: `00-${STREAMED}-00f067aa0ba902b7-01` };
    for await (const { kind } of client.stream([streamed, streamed], { metadata })) expect(kind).toBe('result');
    await client.infer('nope', { input: ROW }, { metadata: { traceparent: traceparentOf(FAILED) } }).catch(() => {});
    // What has not been sent is sent when the server ends.
  });

  afterAll(() => collector[Symbol.asyncDispose]());

  const FAILED = '1af7651916cd43dd8448eb211c80319d';

  function traceparentOf(traceId: string): string {
    return `00-${traceId}-00f067aa0ba902b7-01`;
  }

  function spansOf(traceId: string): ReceivedSpan[] {
    return collector.spans().filter((span) => span.traceId === traceId);
  }

  test.each(Object.entries(CALLERS))(
    'a call continues the trace of its caller, named by %s, and its batch links to it',
    (_, caller) => {
      const spans = spansOf(caller.traceId);
      expect(spans.map(({ name }) => name).sort()).toEqual(['batch echo', INFER]);
      const call = spans.find(({ name }) => name === INFER);
      const batch = spans.find(({ name }) => name === 'batch echo');
      expect(call).toMatchObject({ kind: SERVER_KIND, parentSpanId: caller.spanId });
      expect(attributesOf(call?.attributes ?? [])).toMatchObject({
        'rpc.system.name': 'grpc',
        'rpc.method': INFER,
        'rpc.response.status_code': 'OK',
        'tensorgate.model.name': 'echo',
        'tensorgate.model.version': '1',
        'tensorgate.rows': 1,
      });
      expect(batch?.links).toMatchObject([{ traceId: caller.traceId, spanId: call?.spanId }]);
      expect(attributesOf(batch?.attributes ?? [])).toMatchObject({
        'tensorgate.batch.rows': 1,
        'tensorgate.batch.outcome': 'ok',
      });
    },
  );

  test('a batch lies within its call in time', () => {
    const [call, batch] = [INFER, 'batch echo'].map((name) =>
      spansOf(CALLERS.w3c.traceId).find((span) => span.name === name),
    );
    if (call === undefined || batch === undefined) throw new Error('a span is missing');
    // Spans begin on different clocks, which differ by a few milliseconds.
    const slackNs = 20_000_000n;
    expect(BigInt(batch.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(call.startTimeUnixNano) - slackNs);
    expect(BigInt(batch.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(call.endTimeUnixNano) + slackNs);
    expect(BigInt(batch.endTimeUnixNano)).toBeGreaterThan(BigInt(batch.startTimeUnixNano));
  });

  test('a caller that does not sample is not traced', () => {
    expect(spansOf(UNSAMPLED)).toEqual([]);
  });

  test('a stream is one span, with an event for each of its requests', () => {
    const stream = spansOf(STREAMED).find(({ name }) => name === STREAM_INFER);
    expect(stream?.events.map(({ name, attributes }) => [name, attributesOf(attributes)['tensorgate.status']])).toEqual(
      [
        ['inference', 'OK'],
        ['inference', 'OK'],
      ],
    );
  });

  test("a call that fails by its caller's mistake is reported with its reason, and is no error of the server", () => {
    const [call, ...others] = spansOf(FAILED);
    expect(others).toEqual([]);
    expect(attributesOf(call?.attributes ?? [])).toMatchObject({
      'rpc.response.status_code': 'NOT_FOUND',
      'tensorgate.reason': 'model_not_found',
    });
    expect(call?.status.code ?? 0).toBe(0);
  });

  test('the collector gets the metrics too', () => {
    const requests = collector.metrics().filter(({ name }) => name === 'tensorgate_requests_total');
    const points = requests
      .at(-1)
      ?.sum?.dataPoints.map(({ asDouble, attributes }) => [attributesOf(attributes)['status'], asDouble])
      // The others begin at zero.
      .filter(([, count]) => count !== 0);
    expect(points?.sort()).toEqual([
      ['NOT_FOUND', 1],
      ['OK', 6],
    ]);
  });
});

describe('the pages of the operations port', () => {
  test('count the calls that were made', async () => {
    using repository = new Repository({ echo: identityModel('FP32') });
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
    using client = new InferenceClient(server.grpc);
    const before = await readMetrics(server);
    const ready = { model: 'echo', version: '1' };
    expect(sampleValue(before, 'tensorgate_model_ready', ready)).toBe(1);
    expect(sampleValue(before, 'tensorgate_breaker_state', ready)).toBe(0);

    for (const rows of [1, 2, 3]) {
      await client.infer('echo', { input: tensor.fp32(new Float32Array(rows * 4), [rows, 4]) });
    }
    for await (const _ of client.stream([{ model: 'echo', inputs: { input: ROW } }]));
    await expect(client.infer('echo', { input: tensor.fp32([1], [1, 1]) })).rejects.toThrow('unexpected shape');
    await expect(client.infer('nope', { input: ROW })).rejects.toThrow('unknown model');
    await client.serverLive();

    // A call is counted when its last bytes have gone out: the caller may have them a moment before.
    const after = await vi.waitFor(async () => {
      const families = await readMetrics(server);
      const calls = families.get('tensorgate_calls_total')?.samples ?? [];
      expect(calls.reduce((sum, { value }) => sum + value, 0)).toBe(7);
      return families;
    });
    const value = (name: string, labels: Readonly<Record<string, string>>): number | undefined =>
      sampleValue(after, name, labels);
    expect(value('tensorgate_requests_total', { ...ready, status: 'OK', reason: 'none' })).toBe(4);
    expect(
      value('tensorgate_requests_total', { ...ready, status: 'INVALID_ARGUMENT', reason: 'invalid_request' }),
    ).toBe(1);
    expect(value('tensorgate_requests_total', { model: 'unknown', status: 'NOT_FOUND' })).toBe(1);
    expect(value('tensorgate_calls_total', { method: INFER, status: 'OK' })).toBe(3);
    expect(value('tensorgate_calls_total', { method: INFER, status: 'NOT_FOUND' })).toBe(1);
    expect(value('tensorgate_calls_total', { method: STREAM_INFER, status: 'OK' })).toBe(1);
    expect(value('tensorgate_calls_total', { method: 'inference.GRPCInferenceService/ServerLive', status: 'OK' })).toBe(
      1,
    );
    expect(value('tensorgate_batch_size_sum', ready)).toBe(7);
    expect(value('tensorgate_batch_size_count', ready)).toBe(4);
    expect(value('tensorgate_compute_duration_seconds_count', ready)).toBe(4);
    expect(value('tensorgate_queue_duration_seconds_count', ready)).toBe(4);
    expect(value('tensorgate_queue_depth', ready)).toBe(0);
    expect(value('tensorgate_in_flight_requests', {})).toBe(0);
    expect(value('tensorgate_in_flight_bytes', {})).toBe(0);
  });

  test('say live and ready', async () => {
    using repository = new Repository({ echo: identityModel('FP32') });
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
    expect(await get(server, '/livez')).toEqual({ status: 200, text: 'live\n' });
    expect(await get(server, '/readyz')).toEqual({ status: 200, text: 'ready\n' });
    expect((await get(server, '/nope')).status).toBe(404);
  });

  test('name each model that is not ready, and why, while the server lives', async () => {
    using repository = new Repository({ echo: identityModel('FP32'), broken: Buffer.from('no model') });
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'silent'] });
    expect((await get(server, '/livez')).status).toBe(200);
    const { status, text } = await get(server, '/readyz');
    expect(status).toBe(503);
    expect(text).toMatch(/^model broken version 1 is UNAVAILABLE: .+\n$/);
    expect(sampleValue(await readMetrics(server), 'tensorgate_model_ready', { model: 'broken' })).toBe(0);
  });

  test('report not ready during a drain, while the server still answers', async () => {
    using repository = new Repository({ echo: identityModel('FP32') });
    const server = await startServer(repository.directory, {
      flags: ['--lame-duck-ms', '1500', '--log-level', 'error'],
    });
    using client = new InferenceClient(server.grpc);
    const stopped = server.stop();
    let page = await get(server, '/readyz');
    while (page.status === 200) page = await get(server, '/readyz');
    expect(page).toEqual({ status: 503, text: 'the server drains\n' });
    expect(await client.serverReady()).toBe(false);
    expect((await client.infer('echo', { input: ROW })).output('output', 'FP32').data).toEqual(ROW.data);
    await stopped;
  });
});
