import { beforeEach, describe, expect, test } from 'vitest';
import type { Call, CancelReason, StreamingCall } from '../../../src/gateway/accept/call.ts';
import { type StreamReply, streamInferMethod } from '../../../src/gateway/accept/stream-infer.ts';
import { InferError, type StatusCode } from '../../../src/gateway/errors.ts';

/** The transport's side of a stream, by hand. */
class FakeStream implements StreamingCall {
  readonly path = '/inference.GRPCInferenceService/ModelStreamInfer';
  readonly deadline = 1_234;
  readonly namesDeadline = true;
  readonly wayBackMs = 2;
  cancelled = false;
  onCancel: StreamingCall['onCancel'];
  onMessage: StreamingCall['onMessage'];
  onEnd: StreamingCall['onEnd'];
  onDrain: StreamingCall['onDrain'];
  /** What became of it, in order. */
  readonly log: string[] = [];
  hasRoom = true;

  get(name: string): string {
    return `value of ${name}`;
  }

  keys(): string[] {
    return ['key'];
  }

  write(chunks: readonly Uint8Array[]): boolean {
    this.log.push(Buffer.concat(chunks).toString());
    return this.hasRoom;
  }

  end(): void {
    this.log.push('end');
  }

  fail(code: StatusCode, text: string): void {
    this.log.push(`fail ${code} ${text}`);
  }

  pause(): void {
    this.log.push('pause');
  }

  resume(): void {
    this.log.push('resume');
  }
}

describe('ModelStreamInfer', () => {
  let stream: FakeStream;
  let released: string[];
  let requests: {
    wire: string;
    call: Call;
    deliver(text: string): Promise<void>;
    answer(text: string): void;
    end(): void;
    reject(error: unknown): void;
  }[];

  beforeEach(() => {
    stream = new FakeStream();
    released = [];
    requests = [];
    const method = streamInferMethod(({ wire, call, deliver }) => {
      const { promise, resolve, reject } = Promise.withResolvers<StreamReply | undefined>();
      const replyOf = (text: string): StreamReply => ({
        chunks: [Buffer.from(text)],
        release: () => released.push(text),
      });
      requests.push({
        wire: String(wire),
        call,
        deliver: (text) => deliver(replyOf(text)),
        answer: (text) => resolve(replyOf(text)),
        end: () => resolve(undefined),
        reject,
      });
      return promise;
    });
    if (method.kind === 'streaming') method.handle(stream);
  });

  function send(...messages: string[]): void {
    for (const message of messages) stream.onMessage?.(Buffer.from(message));
  }

  test('STREAM-1: several requests are in flight at once, and answered in their order', async () => {
    send('a', 'b', 'c');
    expect(requests.map(({ wire }) => wire)).toEqual(['a', 'b', 'c']);
    requests[2]?.answer('C');
    requests[1]?.answer('B');
    await settled();
    expect(stream.log).toEqual([]);
    requests[0]?.answer('A');
    await settled();
    expect(stream.log).toEqual(['A', 'B', 'C']);
  });

  test('STREAM-1: the answers of a request come together, and before the answers of the next request', async () => {
    send('a', 'b');
    await requests[0]?.deliver('A1');
    requests[1]?.answer('B');
    await settled();
    expect(stream.log).toEqual(['A1']);
    await requests[0]?.deliver('A2');
    requests[0]?.end();
    await settled();
    expect(stream.log).toEqual(['A1', 'A2', 'B']);
    expect(released).toEqual(['A1', 'A2', 'B']);
  });

  test('STREAM-3: a request that ends without an answer is answered', async () => {
    send('a');
    stream.onEnd?.();
    requests[0]?.end();
    await settled();
    expect(stream.log).toEqual(['end']);
  });

  test('STREAM-5: an answer that no client will read is released, and its sender goes on', async () => {
    send('a', 'b');
    const waiting = requests[1]?.deliver('B1');
    stream.cancelled = true;
    stream.onCancel?.('client');
    await waiting;
    await requests[1]?.deliver('B2');
    expect(released).toEqual(['B1', 'B2']);
    expect(stream.log).toEqual([]);
  });

  test('STREAM-2: the sixty-fourth unanswered request pauses the stream, and an answer resumes it', async () => {
    send(...Array.from({ length: 63 }, (_, index) => `${index}`));
    expect(stream.log).toEqual([]);
    send('last');
    expect(stream.log).toEqual(['pause']);
    requests[1]?.answer('not the first');
    await settled();
    expect(stream.log).toEqual(['pause']);
    requests[0]?.answer('the first');
    await settled();
    expect(stream.log).toEqual(['pause', 'the first', 'not the first', 'resume']);
  });

  test('STREAM-3: after the half-close the stream ends once the last request is answered', async () => {
    send('a', 'b');
    stream.onEnd?.();
    requests[1]?.answer('B');
    await settled();
    expect(stream.log).toEqual([]);
    requests[0]?.answer('A');
    await settled();
    expect(stream.log).toEqual(['A', 'B', 'end']);
  });

  test('STREAM-3: a stream without requests ends at the half-close', () => {
    stream.onEnd?.();
    expect(stream.log).toEqual(['end']);
  });

  test('STREAM-4: a cancelled stream cancels its unanswered requests, each by itself', async () => {
    const reasons: string[] = [];
    send('a', 'b', 'c');
    for (const { wire, call } of requests) call.onCancel = (reason: CancelReason) => reasons.push(`${wire} ${reason}`);
    requests[0]?.answer('A');
    await settled();
    stream.cancelled = true;
    stream.onCancel?.('client');
    expect(reasons).toEqual(['b client', 'c client']);
    expect(requests[1]?.call.cancelled).toBe(true);
  });

  test('STREAM-2: while the transport has no room, answers wait for it, and no more requests are read', async () => {
    stream.hasRoom = false;
    send('a', 'b', 'c');
    for (const request of requests) request.answer(request.wire);
    await settled();
    expect(stream.log).toEqual(['a', 'pause']);
    stream.onDrain?.();
    expect(stream.log).toEqual(['a', 'pause', 'b']);
    stream.hasRoom = true;
    stream.onDrain?.();
    expect(stream.log).toEqual(['a', 'pause', 'b', 'c', 'resume']);
    stream.onEnd?.();
    expect(stream.log.at(-1)).toBe('end');
  });

  test('STREAM-5: an answer is released when the transport has it, and not before', async () => {
    stream.hasRoom = false;
    send('a', 'b');
    requests[1]?.answer('B');
    await settled();
    expect(released).toEqual([]);
    requests[0]?.answer('A');
    await settled();
    expect(released).toEqual(['A']);
    stream.onDrain?.();
    expect(released).toEqual(['A', 'B']);
  });

  test.each([
    ['is cancelled', () => stream.onCancel?.('client')],
    ['fails', () => requests[0]?.reject(new InferError('draining', 'the server drains'))],
  ])(
    'STREAM-5: when the stream %s, answers that wait are released, and so are those that come later',
    async (_, end) => {
      send('a', 'b', 'c');
      requests[1]?.answer('B');
      await settled();
      end();
      await settled();
      requests[2]?.answer('C');
      await settled();
      expect(released).toEqual(['B', 'C']);
      expect(stream.log.filter((line) => !line.startsWith('fail'))).toEqual([]);
    },
  );

  test('a request has the deadline and the metadata of its stream', () => {
    send('a');
    const call = requests[0]?.call;
    expect(call).toMatchObject({ path: stream.path, deadline: 1_234, stream });
    expect(call?.get('x')).toBe('value of x');
    expect([...(call?.keys() ?? [])]).toEqual(['key']);
  });

  test('a rejection ends the whole stream with its status', async () => {
    send('a');
    requests[0]?.reject(new InferError('draining', 'the server drains'));
    await settled();
    expect(stream.log).toEqual(['fail 14 the server drains']);
  });
});

function settled(): Promise<void> {
  return new Promise(setImmediate);
}
