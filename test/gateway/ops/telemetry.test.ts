import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { DerivedCall } from '../../../src/gateway/accept/derived-call.ts';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { startTelemetry, type Telemetry } from '../../../src/gateway/ops/telemetry.ts';
import { spanContextOf } from '../../../src/gateway/ops/traces.ts';
import { batchEnded, callEnded, FakeCall, inferenceEnded, MODEL_INFER } from './fake-events.ts';
import { attributesOf, type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';
import { parsePrometheusText, sampleValue } from './prometheus-text.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const SAMPLED = { traceparent: `00-${TRACE}-${PARENT}-01` };
const UNSAMPLED = { traceparent: `00-${TRACE}-${PARENT}-00` };

let receiver: OtlpReceiver;

beforeEach(async () => {
  receiver = await startOtlpReceiver();
});

afterEach(async () => {
  await receiver[Symbol.asyncDispose]();
});

/** The SDK reads the variables of the process: they are set until the test ends. */
async function start(variables: Readonly<Record<string, string>> = {}): Promise<Telemetry> {
  const before = { ...process.env };
  for (const name of Object.keys(before)) if (name.startsWith('OTEL_')) delete process.env[name];
  Object.assign(process.env, { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, variables);
  const telemetry = await startTelemetry({
    env: process.env,
    version: '1.2.3',
    onnxruntime: '1.30.0',
    settings: { logLevel: 'silent', logFormat: 'json', accessLog: 'off', maxInFlightBytes: 1_000 },
    state: () => ({ inFlightRequests: 0, inFlightBytes: 0, models: [], known: { methods: [], tenants: [] } }),
  });
  onTestFinished(async () => {
    await telemetry.shutdown();
    process.env = before;
  });
  return telemetry;
}

function endCall(call: FakeCall): void {
  diagnostics.inferenceEnded.publish(inferenceEnded({ call }));
  diagnostics.callEnded.publish(callEnded({ call }));
}

function callOnce(metadata: Readonly<Record<string, string>>): FakeCall {
  const call = new FakeCall(metadata);
  diagnostics.callStarted.publish({ call });
  endCall(call);
  return call;
}

function spanNamed(name: string): ReceivedSpan {
  const found = receiver.spans().filter((span) => span.name === name);
  expect(found, name).toHaveLength(1);
  return found[0] as ReceivedSpan;
}

describe('without OTEL variables', () => {
  test('/metrics is readable, there are no traces, and nothing is sent', async () => {
    const telemetry = await start();
    const call = callOnce(SAMPLED);
    expect(diagnostics.callStarted.active).toBe(false);
    expect(spanContextOf(call)).toBeUndefined();
    const families = parsePrometheusText(await telemetry.metricsText('prometheus'));
    expect(sampleValue(families, 'tensorgate_requests_total', { model: 'resnet', status: 'OK' })).toBe(1);
    expect(sampleValue(families, 'tensorgate_in_flight_bytes_limit')).toBe(1_000);
    const [target] = families.get('target_info')?.samples ?? [];
    expect(target?.labels).toMatchObject({ service_name: 'tensorgate', service_version: '1.2.3' });
  });

  test('after the end no one listens', async () => {
    const telemetry = await start();
    expect(diagnostics.notice.active).toBe(true);
    await telemetry.shutdown();
    expect(Object.values(diagnostics).filter(({ active }) => active)).toEqual([]);
  });
});

describe('traces', () => {
  const startTraces = (variables: Readonly<Record<string, string>> = {}): Promise<Telemetry> =>
    start({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/v1/traces`, ...variables });

  test.each([
    ['W3C', SAMPLED],
    ['single B3', { b3: `${TRACE}-${PARENT}-1` }],
    ['multiple B3', { 'x-b3-traceid': TRACE, 'x-b3-spanid': PARENT, 'x-b3-sampled': '1' }],
    ['W3C rather than B3', { ...SAMPLED, b3: '80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1' }],
  ])('a call continues its caller’s trace: %s', async (_, metadata) => {
    const telemetry = await startTraces();
    callOnce(metadata);
    await telemetry.shutdown();
    const span = spanNamed(MODEL_INFER);
    expect(span).toMatchObject({ traceId: TRACE, parentSpanId: PARENT, kind: 2 });
    expect(attributesOf(span.attributes)).toEqual({
      'rpc.system.name': 'grpc',
      'rpc.method': MODEL_INFER,
      'rpc.response.status_code': 'OK',
      'tensorgate.model.name': 'resnet',
      'tensorgate.model.version': '3',
      'tensorgate.rows': 2,
      'tensorgate.batch.rows': 8,
      'tensorgate.queue_ms': 1,
    });
    const [resource] = receiver.resources();
    expect(attributesOf(resource?.attributes ?? [])).toMatchObject({ 'service.name': 'tensorgate' });
  });

  test('a call without a caller’s context begins a trace', async () => {
    const telemetry = await startTraces();
    callOnce({});
    await telemetry.shutdown();
    expect(spanNamed(MODEL_INFER).parentSpanId ?? '').toBe('');
  });

  test('the settings decide when the model of a call is known: an untraced call leaves no span at all', async () => {
    const telemetry = await startTraces();
    telemetry.traceSettings.change('resnet', new Map([['trace_level', ['OFF']]]));
    const call = new FakeCall({});
    diagnostics.callStarted.publish({ call });
    diagnostics.batchEnded.publish(batchEnded({ calls: [call] }));
    endCall(call);
    const other = new FakeCall({});
    diagnostics.callStarted.publish({ call: other });
    diagnostics.inferenceEnded.publish(inferenceEnded({ call: other, model: { name: 'other', version: '1' } }));
    diagnostics.callEnded.publish(callEnded({ call: other }));
    await telemetry.shutdown();
    expect(receiver.spans()).toHaveLength(1);
    expect(attributesOf(spanNamed(MODEL_INFER).attributes)).toMatchObject({ 'tensorgate.model.name': 'other' });
  });

  test('the steps of an ensemble are events of the client’s span, which their batches link to, and its model decides', async () => {
    const telemetry = await startTraces();
    telemetry.traceSettings.change('resnet', new Map([['trace_level', ['OFF']]]));
    const call = new FakeCall(SAMPLED);
    diagnostics.callStarted.publish({ call });
    const outer = new DerivedCall(call, call.deadline, 'pipeline');
    const step = new DerivedCall(outer, call.deadline, 'inner');
    diagnostics.batchEnded.publish(batchEnded({ calls: [step] }));
    diagnostics.inferenceEnded.publish(inferenceEnded({ call: step }));
    diagnostics.inferenceEnded.publish(inferenceEnded({ call, model: { name: 'pipeline', version: '1' } }));
    diagnostics.callEnded.publish(callEnded({ call }));
    await telemetry.shutdown();
    const span = spanNamed(MODEL_INFER);
    expect(attributesOf(span.attributes)).toMatchObject({ 'tensorgate.model.name': 'pipeline' });
    expect(span.events.map(({ attributes }) => attributesOf(attributes)['tensorgate.model.name'])).toEqual(['resnet']);
    expect(spanNamed('batch resnet')).toMatchObject({ traceId: TRACE, parentSpanId: span.spanId });
  });

  test('a call whose caller does not sample has no span, nor has its batch', async () => {
    const telemetry = await startTraces();
    const call = callOnce(UNSAMPLED);
    diagnostics.batchEnded.publish(batchEnded({ calls: [call] }));
    expect(spanContextOf(call)).toBeUndefined();
    await telemetry.shutdown();
    expect(receiver.requests).toBe(0);
  });

  test('OTEL_PROPAGATORS says whose contexts are continued', async () => {
    const telemetry = await startTraces({ OTEL_PROPAGATORS: 'b3' });
    callOnce(SAMPLED);
    await telemetry.shutdown();
    expect(spanNamed(MODEL_INFER).traceId).not.toBe(TRACE);
  });

  test('metadata of a caller never becomes an attribute', async () => {
    const telemetry = await startTraces();
    callOnce({ ...SAMPLED, authorization: 'Bearer hunter2', baggage: 'user=hunter2' });
    await telemetry.shutdown();
    expect(JSON.stringify(spanNamed(MODEL_INFER))).not.toContain('hunter2');
  });

  test('a failure of the server marks the span as one, a mistake of the caller does not', async () => {
    const telemetry = await startTraces();
    for (const [status, reason] of [
      ['INTERNAL', 'internal'],
      ['INVALID_ARGUMENT', 'invalid_request'],
    ] as const) {
      const call = new FakeCall(SAMPLED);
      diagnostics.callStarted.publish({ call });
      diagnostics.callEnded.publish(callEnded({ call, status, reason, text: 'value hunter2 of tensor x' }));
    }
    await telemetry.shutdown();
    const [internal, mistake] = receiver.spans();
    expect(attributesOf(internal?.attributes ?? [])).toMatchObject({
      'rpc.response.status_code': 'INTERNAL',
      'error.type': 'INTERNAL',
      'tensorgate.reason': 'internal',
    });
    expect([internal?.status.code, mistake?.status.code]).toEqual([2, 0]);
    expect(JSON.stringify(receiver.spans())).not.toContain('hunter2');
  });

  test('a batch links to the calls in it that are sampled, and lasts as long as it ran', async () => {
    const telemetry = await startTraces();
    const calls = [UNSAMPLED, SAMPLED, {}].map((metadata) => new FakeCall(metadata));
    for (const call of calls) diagnostics.callStarted.publish({ call });
    const [, first, second] = calls.map(spanContextOf);
    const startedAtMs = Date.now();
    diagnostics.batchEnded.publish(batchEnded({ calls, startedAtMs, inputMs: 1, computeMs: 20, outputMs: 2 }));
    for (const call of calls) endCall(call);
    await telemetry.shutdown();
    const batch = spanNamed('batch resnet');
    expect(batch.links.map(({ traceId, spanId }) => ({ traceId, spanId }))).toEqual(
      [first, second].map((context) => ({ traceId: context?.traceId, spanId: context?.spanId })),
    );
    expect(batch.parentSpanId).toBe(first?.spanId);
    const ranForNs = BigInt(batch.endTimeUnixNano) - BigInt(batch.startTimeUnixNano);
    expect(Number(ranForNs) / 1e6).toBeCloseTo(23);
    expect(attributesOf(batch.attributes)).toMatchObject({
      'tensorgate.model.name': 'resnet',
      'tensorgate.batch.rows': 8,
      'tensorgate.batch.requests': 3,
      'tensorgate.batch.reason': 'full',
      'tensorgate.batch.outcome': 'ok',
      'tensorgate.batch.compute_ms': 20,
    });
  });

  test('a batch that outlives its call still links to it', async () => {
    const telemetry = await startTraces();
    const call = callOnce(SAMPLED);
    diagnostics.batchEnded.publish(batchEnded({ calls: [call], outcome: 'crashed' }));
    await telemetry.shutdown();
    expect(spanNamed('batch resnet')).toMatchObject({ traceId: TRACE, status: { code: 2 } });
  });

  test('where calls are sampled at a rate, every batch of a sampled call has its span', async () => {
    const telemetry = await startTraces({
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.5',
    });
    for (let index = 0; index < 64; index++) {
      const call = callOnce({});
      diagnostics.batchEnded.publish(batchEnded({ calls: [call] }));
    }
    await telemetry.shutdown();
    const calls = receiver.spans().filter(({ name }) => name === MODEL_INFER);
    const batches = receiver.spans().filter(({ name }) => name === 'batch resnet');
    expect(calls.length).toBeGreaterThan(0);
    expect(calls.length).toBeLessThan(64);
    expect(batches.map(({ parentSpanId }) => parentSpanId)).toEqual(calls.map(({ spanId }) => spanId));
  });

  test('requests of a stream are events of its span, and its batches link to it once', async () => {
    const telemetry = await startTraces();
    const stream = new FakeCall(SAMPLED);
    diagnostics.callStarted.publish({ call: stream });
    const requests = [new FakeCall({}, { stream }), new FakeCall({}, { stream })];
    diagnostics.batchEnded.publish(batchEnded({ calls: requests }));
    for (const call of requests) diagnostics.inferenceEnded.publish(inferenceEnded({ call }));
    diagnostics.callEnded.publish(callEnded({ call: stream }));
    await telemetry.shutdown();
    const span = spanNamed(MODEL_INFER);
    expect(span.events.map(({ name }) => name)).toEqual(['inference', 'inference']);
    expect(attributesOf(span.events[0]?.attributes ?? [])).toMatchObject({ 'tensorgate.status': 'OK' });
    expect(spanNamed('batch resnet').links).toHaveLength(1);
  });

  test('push no metrics by themselves', async () => {
    const telemetry = await startTraces();
    callOnce(SAMPLED);
    await telemetry.shutdown();
    expect(receiver.metrics()).toEqual([]);
  });
});

describe('pushed metrics', () => {
  test('have the names and values of /metrics', async () => {
    const telemetry = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_TRACES_EXPORTER: 'none' });
    callOnce(SAMPLED);
    const text = parsePrometheusText(await telemetry.metricsText('prometheus'));
    await telemetry.shutdown();
    const pushed = new Map(receiver.metrics().map((metric) => [metric.name, metric]));
    const [requests] = pushed.get('tensorgate_requests_total')?.sum?.dataPoints.slice(-1) ?? [];
    expect(requests?.asDouble).toBe(1);
    expect(sampleValue(text, 'tensorgate_requests_total', { model: 'resnet' })).toBe(1);
    expect(pushed.get('tensorgate_request_duration_seconds')?.histogram?.dataPoints[0]?.count).toBe(1);
    const named = [...text.keys()].filter((name) => name !== 'target_info');
    // The SDK pushes a histogram from its first value on. The collector of garbage runs when it likes.
    const hasData = (name: string): boolean =>
      text.get(name)?.samples.some(({ value }) => value > 0 || text.get(name)?.type !== 'histogram') === true;
    const ours = [...pushed.keys()].filter((name) => name !== 'nodejs_gc_duration_seconds');
    expect(ours.sort()).toEqual(named.filter((name) => hasData(name) && !name.startsWith('nodejs_gc')).sort());
    expect(receiver.spans()).toEqual([]);
  });

  test('one endpoint for both turns both on', async () => {
    const telemetry = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
    callOnce(SAMPLED);
    await telemetry.shutdown();
    expect(receiver.spans()).toHaveLength(1);
    expect(receiver.metrics().map(({ name }) => name)).toContain('tensorgate_requests_total');
  });
});

test('OTEL_SDK_DISABLED turns off every export, but not the metrics page', async () => {
  const telemetry = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_SDK_DISABLED: 'true' });
  callOnce(SAMPLED);
  expect(await telemetry.metricsText('prometheus')).toContain('tensorgate_requests_total');
  await telemetry.shutdown();
  expect(receiver.requests).toBe(0);
});

test('a collector that does not answer is reported in the log, and does not hold up the end', async () => {
  const notices: string[] = [];
  onTestFinished(diagnostics.notice.subscribe(({ text }) => notices.push(text)));
  const connections: Socket[] = [];
  const silent = createServer((socket) => connections.push(socket));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  const telemetry = await start({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `http://127.0.0.1:${port}/v1/traces` });
  callOnce(SAMPLED);
  const startedAt = performance.now();
  await telemetry.shutdown();
  expect(performance.now() - startedAt).toBeLessThan(7_000);
  expect(connections).toHaveLength(1);
  expect(notices).toEqual([expect.stringMatching(/^OpenTelemetry: the last export failed: .*within 5000 ms/)]);
  silent.close();
  for (const connection of connections) connection.destroy();
});
