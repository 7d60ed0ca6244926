import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { Distributions } from '../../../src/gateway/ops/distribution.ts';
import { expose } from '../../../src/gateway/ops/exposition.ts';
import type { GatewayState } from '../../../src/gateway/ops/gateway-state.ts';
import { METRICS } from '../../../src/gateway/ops/metric-definitions.ts';
import { MetricFamilies } from '../../../src/gateway/ops/metric-families.ts';
import { recordMetrics } from '../../../src/gateway/ops/metrics-recorder.ts';
import { batchEnded, callEnded, inferenceEnded, MODEL_INFER, RESNET } from './fake-events.ts';
import { type Family, parsePrometheusText, sampleValue } from './prometheus-text.ts';

const LABELS = { model: 'resnet', version: '3' };

let state: GatewayState;
let stop: () => void;
let collect: () => Promise<ReadonlyMap<string, Family>>;

beforeEach(() => {
  state = {
    inFlightRequests: 3,
    inFlightBytes: 300,
    maxInFlightBytes: 1_000,
    transport: {
      ...{ connections: 1, streams: 2, incomingBytes: 3, unreadBytes: 4 },
      acceptors: [
        { connections: 0, activeMs: 500 },
        { connections: 1, activeMs: 2_500 },
      ],
    },
    http: { connections: 5, requests: 6, unreadBytes: 7 },
    known: { methods: [`/${MODEL_INFER}`], tenants: ['gold', 'other'] },
    models: [
      {
        ref: RESNET,
        state: 'READY',
        isDown: false,
        queuedRequests: 2,
        queuedRows: 5,
        memoryBytes: 700,
        paddingShare: 0.125,
        predictions: [
          { rows: 1, ms: 5 },
          { rows: 8, ms: 20 },
        ],
        breaker: 'half-open',
      },
    ],
  };
  const distributions = new Distributions();
  const families = new MetricFamilies(distributions.distribute);
  const versions = { version: '1', node: '24', onnxruntime: '1.30' };
  const recording = recordMetrics(families, { state: () => state, versions });
  stop = () => recording.stop();
  collect = async () => {
    await recording.refresh();
    return parsePrometheusText(expose({ families, distributions, resource: {} }, 'prometheus'));
  };
});

afterEach(() => stop());

test('only the metrics of the table are exported, with its names, types and labels', async () => {
  diagnostics.callEnded.publish(callEnded());
  diagnostics.inferenceEnded.publish(inferenceEnded({ cache: 'miss' }));
  diagnostics.tenantCharged.publish({ tenant: 'gold', outcome: 'admitted' });
  diagnostics.batchEnded.publish(batchEnded());
  diagnostics.limitReached.publish({ limit: 'http2ControlBurst' });
  diagnostics.limitReached.publish({ limit: 'httpMaxRequests' });
  diagnostics.acceptorEnded.publish({ acceptor: 1, cause: 'a fault', lostCalls: 3 });
  diagnostics.runnerEnded.publish({ runner: 'resnet:3', models: [RESNET], cause: 'killed', isStopped: false });
  const pair = { model: 'resnet', primary: '3', shadow: '4' };
  const found = { absolute: 0.5, relative: 0.1, rowsAgreeing: 3, rowsDisagreeing: 1, primaryMs: 2, shadowMs: 4 };
  diagnostics.shadowEnded.publish({ ...pair, outcome: { kind: 'compared', result: 'different', ...found } });
  diagnostics.shadowEnded.publish({ ...pair, outcome: { kind: 'failed', reason: 'internal' } });
  diagnostics.shadowEnded.publish({ ...pair, outcome: { kind: 'shed', cause: 'primary_busy' } });
  const change = { model: 'm', from: '1', to: '2', percent: 0, text: 'rolled back' } as const;
  diagnostics.rolloutChanged.publish({ ...change, stage: 'rolled_back', cause: 'slow' });
  const families = await collect();
  expect([...families.keys()].sort()).toEqual([...Object.keys(METRICS), 'target_info'].sort());
  for (const [name, { kind, help, labels }] of Object.entries(METRICS)) {
    expect(families.get(name)).toMatchObject({ type: kind, help });
    const [sample] = families.get(name)?.samples ?? [];
    const { le, ...seen } = sample?.labels ?? {};
    expect(Object.keys(seen), name).toEqual([...labels]);
  }
});

test('every histogram and counter of a model is there before its first request', async () => {
  state = { ...state, models: state.models.map((gauges) => ({ ...gauges, runner: 'r', shadow: '4', cacheBytes: 0 })) };
  const families = await collect();
  // Only what an ensemble, a rollout or a loss would bring.
  expect(Object.keys(METRICS).filter((name) => (families.get(name)?.samples.length ?? 0) === 0)).toEqual([
    'tensorgate_rollout_percent',
    'tensorgate_rollout_changes_total',
  ]);
  const counted = [...families.values()].filter(({ type }) => type !== 'gauge').flatMap(({ samples }) => samples);
  const ours = counted.filter(({ name }) => /^tensorgate_(?!event_loop|acceptor_active)/.test(name));
  expect(ours.filter(({ value }) => value !== 0)).toEqual([]);
});

test('a rollout begins with a zero for each way in which it may go on', async () => {
  const change = { model: 'm', from: '1', to: '2', percent: 0, cause: undefined, text: 'loading' } as const;
  diagnostics.rolloutChanged.publish({ ...change, stage: 'loading' });
  const families = await collect();
  const changes = (stage: string, cause: string) =>
    sampleValue(families, 'tensorgate_rollout_changes_total', { stage, cause });
  expect([changes('loading', 'none'), changes('rolled_back', 'slow'), changes('promoted', 'none')]).toEqual([1, 0, 0]);
});

test('the process and its Node.js are shown under the names of the clients of Prometheus', async () => {
  const families = await collect();
  const value = (name: string): number => sampleValue(families, name) ?? Number.NaN;
  expect(sampleValue(families, 'tensorgate_build_info', { version: '1', node: '24', onnxruntime: '1.30' })).toBe(1);
  const { rss } = process.memoryUsage();
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(rss / 2);
  expect(value('process_virtual_memory_bytes')).toBeGreaterThan(value('process_resident_memory_bytes'));
  expect(value('process_start_time_seconds')).toBeCloseTo(performance.timeOrigin / 1_000, 1);
  expect(value('process_cpu_seconds_total')).toBeCloseTo(
    value('process_cpu_user_seconds_total') + value('process_cpu_system_seconds_total'),
  );
  expect(value('process_open_fds')).toBeLessThan(value('process_max_fds'));
  expect(value('nodejs_heap_size_used_bytes')).toBeLessThan(value('nodejs_heap_size_total_bytes'));
  expect(value('nodejs_eventloop_lag_max_seconds')).toBeGreaterThanOrEqual(value('nodejs_eventloop_lag_p50_seconds'));
});

test('acceptors are shown each by itself, and counted when they are lost', async () => {
  diagnostics.acceptorEnded.publish({ acceptor: 1, cause: 'a fault', lostCalls: 3 });
  const families = await collect();
  const shown = (name: string, acceptor: string): number | undefined => sampleValue(families, name, { acceptor });
  expect(['0', '1'].map((acceptor) => shown('tensorgate_acceptor_connections', acceptor))).toEqual([0, 1]);
  expect(shown('tensorgate_acceptor_active_seconds_total', '1')).toBe(2.5);
  expect(shown('tensorgate_acceptor_restarts_total', '1')).toBe(1);
});

describe('the response cache', () => {
  test('is counted by outcome, and its bytes are shown until the model is gone', async () => {
    for (const cache of ['miss', 'hit', 'joined', 'hit'] as const) {
      diagnostics.inferenceEnded.publish(inferenceEnded({ cache, queueMs: cache === 'miss' ? 1 : undefined }));
    }
    state = { ...state, models: state.models.map((gauges) => ({ ...gauges, cacheBytes: 77 })) };
    const families = await collect();
    const outcomes = ['hit', 'joined', 'miss'].map((outcome) =>
      sampleValue(families, 'tensorgate_cache_requests_total', { ...LABELS, outcome }),
    );
    expect(outcomes).toEqual([2, 1, 1]);
    expect(sampleValue(families, 'tensorgate_cache_bytes', LABELS)).toBe(77);
    // From requests that ran.
    expect(sampleValue(families, 'tensorgate_queue_duration_seconds_count', LABELS)).toBe(1);
    state = { ...state, models: [] };
    expect(sampleValue(await collect(), 'tensorgate_cache_bytes', LABELS)).toBe(0);
  });

  test('has no series where a model has none', async () => {
    diagnostics.inferenceEnded.publish(inferenceEnded());
    expect((await collect()).get('tensorgate_cache_bytes')?.samples ?? []).toEqual([]);
  });
});

describe('predictions', () => {
  test('are shown by rows, and as 0 once they are unknown or the model is gone', async () => {
    const shown = async (rows: string): Promise<number | undefined> =>
      sampleValue(await collect(), 'tensorgate_predicted_seconds', { ...LABELS, rows });
    expect([await shown('1'), await shown('8')]).toEqual([0.005, 0.02]);
    state = { ...state, models: state.models.map((gauges) => ({ ...gauges, predictions: [{ rows: 1, ms: 6 }] })) };
    expect([await shown('1'), await shown('8')]).toEqual([0.006, 0]);
    state = { ...state, models: [] };
    expect([await shown('1'), await shown('8')]).toEqual([0, 0]);
  });

  test('are compared with the times of the runs that had one and ended well', async () => {
    diagnostics.batchEnded.publish(batchEnded({ elapsedMs: 18, predictedMs: 20 }));
    diagnostics.batchEnded.publish(batchEnded({ elapsedMs: 90, predictedMs: 20 }));
    diagnostics.batchEnded.publish(batchEnded({ elapsedMs: 90, predictedMs: undefined }));
    diagnostics.batchEnded.publish(batchEnded({ elapsedMs: 1, predictedMs: 20, outcome: 'crashed' }));
    const families = await collect();
    const below = (le: string): number | undefined =>
      sampleValue(families, 'tensorgate_prediction_ratio_bucket', { ...LABELS, le });
    expect(['0.8', '0.9', '4', '10'].map(below)).toEqual([0, 1, 1, 2]);
    expect(sampleValue(families, 'tensorgate_prediction_ratio_count', LABELS)).toBe(2);
  });
});

describe('the share of padding', () => {
  test('is shown until the model is gone', async () => {
    expect(sampleValue(await collect(), 'tensorgate_padding_share', LABELS)).toBe(0.125);
    state = { ...state, models: [] };
    expect(sampleValue(await collect(), 'tensorgate_padding_share', LABELS)).toBe(0);
  });

  test('has no series where nothing is padded', async () => {
    state = { ...state, models: state.models.map((gauges) => ({ ...gauges, paddingShare: undefined })) };
    expect((await collect()).get('tensorgate_padding_share')?.samples ?? []).toEqual([]);
  });
});

test('requests are counted by tenant and outcome', async () => {
  diagnostics.tenantCharged.publish({ tenant: 'gold', outcome: 'admitted' });
  diagnostics.tenantCharged.publish({ tenant: 'gold', outcome: 'admitted' });
  diagnostics.tenantCharged.publish({ tenant: 'other', outcome: 'limited' });
  const families = await collect();
  const count = (tenant: string, outcome: string) =>
    sampleValue(families, 'tensorgate_tenant_requests_total', { tenant, outcome });
  expect([count('gold', 'admitted'), count('other', 'limited')]).toEqual([2, 1]);
});

describe('requests', () => {
  test('are counted by status and reason, and timed by status', async () => {
    diagnostics.inferenceEnded.publish(inferenceEnded({ durationMs: 3 }));
    diagnostics.inferenceEnded.publish(inferenceEnded({ durationMs: 30 }));
    const refusal = { status: 'RESOURCE_EXHAUSTED', durationMs: 0.1, queueMs: undefined, responseBytes: 0 } as const;
    diagnostics.inferenceEnded.publish(inferenceEnded({ ...refusal, reason: 'queue_full' }));
    diagnostics.inferenceEnded.publish(inferenceEnded({ ...refusal, reason: 'cannot_meet_deadline' }));
    const families = await collect();
    const requests = (status: string, reason: string) =>
      sampleValue(families, 'tensorgate_requests_total', { ...LABELS, status, reason });
    expect(requests('OK', 'none')).toBe(2);
    expect(requests('RESOURCE_EXHAUSTED', 'queue_full')).toBe(1);
    expect(requests('RESOURCE_EXHAUSTED', 'cannot_meet_deadline')).toBe(1);
    const answered = { ...LABELS, status: 'OK' };
    expect(sampleValue(families, 'tensorgate_request_duration_seconds_sum', answered)).toBeCloseTo(0.033);
    expect(sampleValue(families, 'tensorgate_request_duration_seconds_bucket', { ...answered, le: '0.005' })).toBe(1);
    const shed = { ...LABELS, status: 'RESOURCE_EXHAUSTED' };
    expect(sampleValue(families, 'tensorgate_request_duration_seconds_count', shed)).toBe(2);
    expect(sampleValue(families, 'tensorgate_queue_duration_seconds_count', LABELS)).toBe(2);
    expect(sampleValue(families, 'tensorgate_request_bytes_total', LABELS)).toBe(400);
    expect(sampleValue(families, 'tensorgate_response_bytes_total', LABELS)).toBe(20);
  });

  test('for models that do not exist share one series, whatever they are called', async () => {
    for (let index = 0; index < 100; index++) {
      const refused = {
        model: undefined,
        status: 'NOT_FOUND',
        reason: 'model_not_found',
        requestId: `${index}`,
      } as const;
      diagnostics.inferenceEnded.publish(inferenceEnded({ ...refused, queueMs: undefined }));
    }
    const families = await collect();
    const unknown = { model: 'unknown', version: 'unknown', status: 'NOT_FOUND', reason: 'model_not_found' };
    expect(sampleValue(families, 'tensorgate_requests_total', unknown)).toBe(100);
    const counted = families.get('tensorgate_requests_total')?.samples.filter(({ value }) => value > 0);
    expect(counted).toHaveLength(1);
  });

  test('are zero for a model that has had none, whatever they may end with, so that a rate has a start', async () => {
    const families = await collect();
    const requests = (reason: string) => sampleValue(families, 'tensorgate_requests_total', { ...LABELS, reason });
    expect(['none', 'queue_full', 'cannot_meet_deadline', 'deadline_exceeded', 'internal'].map(requests)).toEqual([
      ...[0, 0, 0, 0, 0],
    ]);
    expect(requests('rollout_refused')).toBeUndefined();
  });

  test('go on being counted when the version is loaded again', async () => {
    diagnostics.inferenceEnded.publish(inferenceEnded({ model: { ...RESNET } }));
    diagnostics.inferenceEnded.publish(inferenceEnded({ model: { ...RESNET } }));
    expect(sampleValue(await collect(), 'tensorgate_requests_total', { ...LABELS, status: 'OK' })).toBe(2);
  });
});

test('batches are counted by reason and outcome; only those that ended well are timed', async () => {
  diagnostics.batchEnded.publish(batchEnded({ rows: 8 }));
  diagnostics.batchEnded.publish(batchEnded({ rows: 3, reason: 'alone', outcome: 'crashed' }));
  const families = await collect();
  const batches = (reason: string, outcome: string) =>
    sampleValue(families, 'tensorgate_batches_total', { ...LABELS, reason, outcome });
  expect(batches('full', 'ok')).toBe(1);
  expect(batches('alone', 'crashed')).toBe(1);
  expect(sampleValue(families, 'tensorgate_batch_size_sum', LABELS)).toBe(11);
  expect(sampleValue(families, 'tensorgate_batch_size_bucket', { ...LABELS, le: '4' })).toBe(1);
  expect(sampleValue(families, 'tensorgate_compute_duration_seconds_count', LABELS)).toBe(1);
  expect(sampleValue(families, 'tensorgate_compute_duration_seconds_sum', LABELS)).toBeCloseTo(0.002);
  expect(sampleValue(families, 'tensorgate_transfer_duration_seconds_sum', LABELS)).toBeCloseTo(0.0005);
});

test('calls are counted by method and status', async () => {
  diagnostics.callEnded.publish(callEnded());
  diagnostics.callEnded.publish(callEnded({ status: 'CANCELLED', reason: 'cancelled' }));
  const families = await collect();
  expect(sampleValue(families, 'tensorgate_calls_total', { method: MODEL_INFER, status: 'OK' })).toBe(1);
  expect(sampleValue(families, 'tensorgate_calls_total', { method: MODEL_INFER, status: 'CANCELLED' })).toBe(1);
});

test('runners that end are counted, and so are the starts of others by how they went', async () => {
  const ended = { runner: 'resnet:3', models: [RESNET], cause: 'killed by SIGSEGV', isStopped: false };
  const starts = (families: Awaited<ReturnType<typeof collect>>, outcome: string) =>
    sampleValue(families, 'tensorgate_runner_starts_total', { model: 'resnet', version: '3', outcome });
  expect(starts(await collect(), 'failed')).toBe(0);
  diagnostics.runnerEnded.publish(ended);
  const started = { runner: 'resnet:3', model: RESNET };
  diagnostics.runnerStarted.publish({ ...started, outcome: 'failed', cause: 'spawn EMFILE' });
  diagnostics.runnerStarted.publish({ ...started, outcome: 'failed', cause: 'spawn EMFILE' });
  diagnostics.runnerStarted.publish({ ...started, outcome: 'ok', cause: undefined });
  const families = await collect();
  expect(sampleValue(families, 'tensorgate_runner_restarts_total', { runner: 'resnet:3' })).toBe(1);
  expect(starts(families, 'failed')).toBe(2);
  expect(starts(families, 'ok')).toBe(1);
});

test('gauges show the gateway as it is when they are read', async () => {
  const before = await collect();
  expect(sampleValue(before, 'tensorgate_in_flight_requests')).toBe(3);
  expect(sampleValue(before, 'tensorgate_in_flight_bytes')).toBe(300);
  expect(sampleValue(before, 'tensorgate_in_flight_bytes_limit')).toBe(1_000);
  expect(sampleValue(before, 'tensorgate_queue_depth', LABELS)).toBe(2);
  expect(sampleValue(before, 'tensorgate_queue_rows', LABELS)).toBe(5);
  expect(sampleValue(before, 'tensorgate_model_memory_bytes', LABELS)).toBe(700);
  expect(sampleValue(before, 'tensorgate_model_ready', LABELS)).toBe(1);
  expect(sampleValue(before, 'tensorgate_runner_down', LABELS)).toBe(0);
  expect(sampleValue(before, 'tensorgate_breaker_state', LABELS)).toBe(1);
  state = {
    ...state,
    inFlightRequests: 0,
    models: [
      {
        ref: RESNET,
        state: 'UNAVAILABLE',
        isDown: true,
        queuedRequests: 0,
        queuedRows: 0,
        memoryBytes: 0,
        breaker: 'open',
      },
    ],
  };
  const after = await collect();
  expect(sampleValue(after, 'tensorgate_in_flight_requests')).toBe(0);
  expect(sampleValue(after, 'tensorgate_queue_depth', LABELS)).toBe(0);
  expect(sampleValue(after, 'tensorgate_model_ready', LABELS)).toBe(0);
  expect(sampleValue(after, 'tensorgate_runner_down', LABELS)).toBe(1);
  expect(sampleValue(after, 'tensorgate_breaker_state', LABELS)).toBe(2);
});

test('a model that is gone is not ready, and has no queue', async () => {
  await collect();
  state = { ...state, models: [] };
  const families = await collect();
  expect(sampleValue(families, 'tensorgate_model_ready', LABELS)).toBe(0);
  expect(sampleValue(families, 'tensorgate_queue_depth', LABELS)).toBe(0);
  expect(sampleValue(families, 'tensorgate_model_memory_bytes', LABELS)).toBe(0);
  expect(sampleValue(families, 'tensorgate_breaker_state', LABELS)).toBe(0);
});

test('the time in which the event loop had work only grows', async () => {
  const before = sampleValue(await collect(), 'tensorgate_event_loop_active_seconds_total') ?? Number.NaN;
  const end = performance.now() + 20;
  while (performance.now() < end);
  await new Promise(setImmediate);
  const after = sampleValue(await collect(), 'tensorgate_event_loop_active_seconds_total') ?? Number.NaN;
  expect(after - before).toBeGreaterThan(0.01);
});

test('after the end no one listens', () => {
  expect(diagnostics.inferenceEnded.active).toBe(true);
  stop();
  expect(Object.values(diagnostics).filter(({ active }) => active)).toEqual([]);
});

test('what shadows did is counted by pairs of versions, and infinite differences stay out of the histograms', async () => {
  const pair = { model: 'resnet', primary: '3', shadow: '4' };
  const found = { rowsAgreeing: 3, rowsDisagreeing: 1, primaryMs: 2, shadowMs: 4 };
  for (const absolute of [0.5, Number.POSITIVE_INFINITY]) {
    const outcome = { kind: 'compared', result: 'different', ...found, absolute, relative: absolute } as const;
    diagnostics.shadowEnded.publish({ ...pair, outcome });
  }
  diagnostics.shadowEnded.publish({ ...pair, outcome: { kind: 'shed', cause: 'no_room' } });
  const families = await collect();
  const value = (name: string, labels: object = {}) => sampleValue(families, name, { ...pair, ...labels });
  expect(value('tensorgate_shadow_comparisons_total', { result: 'different' })).toBe(2);
  expect(value('tensorgate_shadow_rows_total', { largest: 'same' })).toBe(6);
  expect(value('tensorgate_shadow_rows_total', { largest: 'other' })).toBe(2);
  expect(value('tensorgate_shadow_shed_total', { cause: 'no_room' })).toBe(1);
  expect(value('tensorgate_shadow_max_absolute_difference_sum')).toBe(0.5);
  expect(value('tensorgate_shadow_max_absolute_difference_count')).toBe(1);
  expect(value('tensorgate_shadow_duration_seconds_sum', { of: 'shadow' })).toBe(0.008);
});

test('limits of the HTTP port and of gRPC are counted apart', async () => {
  for (const limit of ['httpMaxRequests', 'http2StallMs', 'maxConcurrentStreams', 'httpMaxRequests']) {
    diagnostics.limitReached.publish({ limit });
  }
  const families = await collect();
  expect(sampleValue(families, 'tensorgate_http_limits_total', { limit: 'httpMaxRequests' })).toBe(2);
  expect(sampleValue(families, 'tensorgate_http2_limits_total', { limit: 'http2StallMs' })).toBe(1);
  expect(sampleValue(families, 'tensorgate_http2_limits_total', { limit: 'maxConcurrentStreams' })).toBe(1);
  expect(sampleValue(families, 'tensorgate_http_connections', {})).toBe(5);
});
