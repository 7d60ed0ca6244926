import { afterEach, describe, expect, test, vi } from 'vitest';
import { startAccessLog } from '../../../src/gateway/ops/access-log.ts';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { LogLines } from '../../../src/gateway/ops/log-lines.ts';
import { LogSettings } from '../../../src/gateway/ops/log-settings.ts';
import type { Settings } from '../../../src/gateway/ops/settings.ts';
import { callEnded, FakeCall, inferenceEnded, MODEL_INFER } from './fake-events.ts';

const SPIFFE = 'spiffe://cluster.local/ns/shop/sa/web';
const CERTIFICATE = { subject: 'CN=web', alternativeNames: ['DNS:web.shop', `URI:${SPIFFE}`] };

let stop: (() => void) | undefined;

afterEach(() => {
  stop?.();
  stop = undefined;
  vi.restoreAllMocks();
});

/** Lines that are written from now on; complete after `finish`. */
function capture(every: Exclude<Settings['accessLog'], 'off'>, logLevel: Settings['logLevel'] = 'error') {
  const written: string[] = [];
  const settings = new LogSettings({ logLevel, logFormat: 'json' });
  stop = startAccessLog(new LogLines(settings, { write: (text) => written.push(text) }), every);
  return {
    finish: (): Record<string, unknown>[] => {
      stop?.();
      stop = undefined;
      return written
        .flatMap((text) => text.trimEnd().split('\n'))
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
  };
}

function answer(call: FakeCall): void {
  diagnostics.inferenceEnded.publish(inferenceEnded({ call }));
  diagnostics.callEnded.publish(callEnded({ call }));
}

test('a call has one line, with its inference, its caller and its deadline', () => {
  const log = capture(1);
  const metadata = { 'x-request-id': 'mesh-1', authorization: 'Bearer secret' };
  const peer = { address: '10.0.0.7:51234', certificate: CERTIFICATE };
  const call = Object.assign(new FakeCall(metadata), { peer, deadline: performance.now() + 60_000 });
  const timing = { inputMs: 0.25, computeMs: 2, outputMs: 0.5 };
  diagnostics.inferenceEnded.publish(inferenceEnded({ call, requestId: 'r1', timing, cache: 'miss' }));
  diagnostics.callEnded.publish(callEnded({ call }));
  const [line, ...more] = log.finish();
  expect(more).toEqual([]);
  expect(line).toEqual({
    level: 'info',
    time: expect.stringMatching(/Z$/),
    log: 'access',
    via: 'grpc',
    method: MODEL_INFER,
    status: 'OK',
    client: SPIFFE,
    address: '10.0.0.7:51234',
    x_request_id: 'mesh-1',
    model: 'resnet',
    version: '3',
    request_id: 'r1',
    rows: 2,
    request_bytes: 100,
    response_bytes: 10,
    queue_ms: 1,
    batch_rows: 8,
    input_ms: 0.25,
    compute_ms: 2,
    output_ms: 0.5,
    cache: 'miss',
    duration_ms: 4,
    deadline_left_ms: expect.any(Number),
    msg: `${MODEL_INFER} OK`,
  });
});

test('a certificate without a SPIFFE ID is named by its subject', () => {
  const log = capture(1);
  const certificate = { subject: 'CN=web', alternativeNames: ['DNS:web.shop'] };
  answer(Object.assign(new FakeCall(), { peer: { address: '10.0.0.7:1', certificate } }));
  expect(log.finish()[0]).toMatchObject({ client: 'CN=web', address: '10.0.0.7:1' });
});

test('ACCESS-2: each message of a stream has a line, the stream another, and steps of an ensemble none', () => {
  const log = capture(1);
  const stream = new FakeCall();
  diagnostics.inferenceEnded.publish(inferenceEnded({ call: new FakeCall({}, { stream }), requestId: 'a' }));
  diagnostics.inferenceEnded.publish(inferenceEnded({ call: new FakeCall({}, { stream }), requestId: 'b' }));
  diagnostics.callEnded.publish(callEnded({ call: stream }));
  const ensemble = new FakeCall();
  const step = Object.assign(new FakeCall(), { step: { of: ensemble, ensemble: 'e' } });
  diagnostics.inferenceEnded.publish(inferenceEnded({ call: step, requestId: 'step' }));
  answer(ensemble);
  // The stream of this test has the path of ModelInfer, and no inference of its own: another has its line below.
  expect(log.finish().map(({ request_id, model }) => request_id ?? model)).toEqual(['a', 'b', 'resnet']);
});

describe('errors', () => {
  test('logs calls that fail, whether or not they came to an inference, and no others', () => {
    const log = capture('errors');
    answer(new FakeCall());
    const failed = new FakeCall();
    const failure = { status: 'RESOURCE_EXHAUSTED', reason: 'queue_full' } as const;
    diagnostics.inferenceEnded.publish(inferenceEnded({ call: failed, ...failure, queueMs: undefined }));
    diagnostics.callEnded.publish(callEnded({ call: failed, ...failure }));
    diagnostics.callEnded.publish(callEnded({ status: 'UNAVAILABLE', reason: 'draining' }));
    const lines = log.finish();
    expect(lines.map(({ reason, model }) => [reason, model])).toEqual([
      ['queue_full', 'resnet'],
      ['draining', undefined],
    ]);
    expect(lines[0]).not.toHaveProperty('queue_ms');
  });

  test('ACCESS-1: of many failures in a second 100 have a line, and the others are counted', () => {
    let now = 5_000;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const log = capture('errors');
    const fail = () => diagnostics.callEnded.publish(callEnded({ status: 'UNAVAILABLE', reason: 'draining' }));
    for (let call = 0; call < 350; call++) fail();
    now = 6_001;
    fail();
    const lines = log.finish();
    expect(lines.filter(({ status }) => status === 'UNAVAILABLE')).toHaveLength(101);
    expect(lines.flatMap(({ dropped }) => dropped ?? [])).toEqual([250]);
  });
});

test('one of so many answered calls is logged, and every call that fails', () => {
  const log = capture(4);
  const random = vi.spyOn(Math, 'random');
  for (const drawn of [0.3, 0.2, 0.9, 0.24]) {
    random.mockReturnValueOnce(drawn);
    answer(new FakeCall());
  }
  random.mockReturnValue(0.99);
  diagnostics.callEnded.publish(callEnded({ status: 'INTERNAL', reason: 'internal' }));
  expect(log.finish().map(({ status }) => status)).toEqual(['OK', 'OK', 'INTERNAL']);
});

test('lines of one turn of the event loop are one write', async () => {
  const written: string[] = [];
  const settings = new LogSettings({ logLevel: 'info', logFormat: 'json' });
  stop = startAccessLog(new LogLines(settings, { write: (text) => written.push(text) }), 1);
  for (let call = 0; call < 5; call++) answer(new FakeCall());
  await new Promise(setImmediate);
  expect(written).toHaveLength(1);
  expect(written[0]?.trimEnd().split('\n')).toHaveLength(5);
});

test('a silent log has no lines of calls', () => {
  const log = capture(1, 'silent');
  answer(new FakeCall());
  expect(log.finish()).toEqual([]);
});
