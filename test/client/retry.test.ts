import { Metadata, type Server, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type ClientOptions,
  InferenceClient,
  InferenceError,
  type InferOptions,
  tensor,
} from '../../src/client/inference-client.ts';
import { RetryPolicy } from '../../src/client/retry-policy.ts';
import { type Message, startFakeServer, toEcho } from './fake-server.ts';

let server: Server | undefined;
/** Attempts that the server saw: the value of `grpc-previous-rpc-attempts` of each. */
let attempts: (string | undefined)[] = [];

afterEach(() => {
  server?.forceShutdown();
  attempts = [];
});

interface Failure {
  readonly code: number;
  readonly pushbackMs?: number;
}

/** Fails the first calls like `failures`, in order, then answers. */
async function clientOf(failures: readonly Failure[], options: ClientOptions): Promise<InferenceClient> {
  const started = await startFakeServer({
    ModelInfer: ({ request, metadata }: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) => {
      attempts.push(metadata.get('grpc-previous-rpc-attempts')[0]?.toString());
      const failure = failures[attempts.length - 1];
      if (failure === undefined) return reply(null, toEcho(request));
      const trailers = new Metadata();
      if (failure.pushbackMs !== undefined) trailers.set('grpc-retry-pushback-ms', String(failure.pushbackMs));
      reply({ code: failure.code, details: 'not now', metadata: trailers });
    },
  });
  server = started.server;
  return new InferenceClient(started.target, { deadlineMs: 20_000, ...options });
}

const INPUTS = { x: tensor.int8([1], [1]) };
const QUICK = { initialBackoffMs: 1, maxBackoffMs: 2 };
const UNAVAILABLE = { code: status.UNAVAILABLE };

async function outcome(client: InferenceClient, options: InferOptions = {}): Promise<string> {
  using closing = client;
  try {
    await closing.infer('m', INPUTS, options);
    return 'OK';
  } catch (error) {
    if (!(error instanceof InferenceError)) throw error;
    return error.status;
  }
}

describe('retry', () => {
  test('is off unless asked for', async () => {
    expect(await outcome(await clientOf([UNAVAILABLE], {}))).toBe('UNAVAILABLE');
    expect(attempts).toEqual([undefined]);
  });

  test('goes on after UNAVAILABLE until the answer, and says which attempt it is', async () => {
    expect(await outcome(await clientOf([UNAVAILABLE, UNAVAILABLE], { retry: QUICK }))).toBe('OK');
    expect(attempts).toEqual([undefined, '1', '2']);
  });

  test('ends after as many attempts as it may make', async () => {
    const failures = Array.from({ length: 9 }, () => UNAVAILABLE);
    expect(await outcome(await clientOf(failures, { retry: { ...QUICK, attempts: 2 } }))).toBe('UNAVAILABLE');
    expect(attempts).toHaveLength(2);
  });

  test('waits as long as the server says', async () => {
    const client = await clientOf([{ code: status.RESOURCE_EXHAUSTED, pushbackMs: 60 }], { retry: true });
    const start = performance.now();
    expect(await outcome(client)).toBe('OK');
    expect(performance.now() - start).toBeGreaterThanOrEqual(59);
  });

  test('is not made where the wait passes the deadline', async () => {
    const client = await clientOf([{ code: status.RESOURCE_EXHAUSTED, pushbackMs: 30_000 }], { retry: true });
    const start = performance.now();
    expect(await outcome(client)).toBe('RESOURCE_EXHAUSTED');
    expect(performance.now() - start).toBeLessThan(15_000);
    expect(attempts).toHaveLength(1);
  });

  test.each([
    { code: status.UNAVAILABLE, pushbackMs: -1 },
    { code: status.RESOURCE_EXHAUSTED },
    { code: status.INVALID_ARGUMENT },
    { code: status.NOT_FOUND },
    { code: status.INTERNAL },
    { code: status.FAILED_PRECONDITION },
    { code: status.PERMISSION_DENIED },
  ])('is not made after $code with the pushback $pushbackMs', async (failure) => {
    expect(await outcome(await clientOf([failure], { retry: QUICK }))).toBe(status[failure.code]);
    expect(attempts).toHaveLength(1);
  });

  test('is made for a request of a sequence only where the server did not run it', async () => {
    const sequence = { parameters: { sequence_id: 7 } };
    expect(await outcome(await clientOf([UNAVAILABLE], { retry: QUICK }), sequence)).toBe('UNAVAILABLE');
    server?.forceShutdown();
    attempts = [];
    const refused = { code: status.RESOURCE_EXHAUSTED, pushbackMs: 1 };
    expect(await outcome(await clientOf([refused], { retry: QUICK }), sequence)).toBe('OK');
  });

  test('is given up when the signal of the call is aborted during the wait', async () => {
    const client = await clientOf([{ code: status.UNAVAILABLE, pushbackMs: 10_000 }], { retry: true });
    const aborter = new AbortController();
    const ended = client.infer('m', INPUTS, { signal: aborter.signal }).catch((error: InferenceError) => error);
    while (attempts.length === 0) await new Promise((resolve) => setImmediate(resolve));
    aborter.abort('no longer wanted');
    expect(await ended).toMatchObject({ status: 'CANCELLED', cause: 'no longer wanted' });
    client.close();
  });
});

describe('the budget of retries', () => {
  const failure = new InferenceError(status.UNAVAILABLE, 'down');

  test('allows ten retries at once, then one for each ten answers', () => {
    const policy = new RetryPolicy({ attempts: 100 });
    const isRetried = (): boolean => policy.waitMs(failure, 1, 60_000, true) !== undefined;
    expect(Array.from({ length: 12 }, isRetried).filter(Boolean)).toHaveLength(10);
    for (let answer = 0; answer < 11; answer += 1) policy.answered();
    expect([isRetried(), isRetried()]).toEqual([true, false]);
  });

  test('waits double, up to the longest, with a quarter of jitter', () => {
    const policy = new RetryPolicy({ attempts: 9, initialBackoffMs: 100, maxBackoffMs: 300 });
    const waits = [1, 2, 3].map((attempt) => policy.waitMs(failure, attempt, 60_000, true) ?? Number.NaN);
    for (const [index, leastMs] of [100, 200, 300].entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(leastMs);
      expect(waits[index]).toBeLessThanOrEqual(leastMs * 1.25);
    }
  });

  test.each([
    [{ attempts: 0 }, 'retry.attempts: expected a number from 1'],
    [{ attempts: 1.5 }, 'retry.attempts: expected a whole number from 1, got 1.5'],
    [{ budget: 2 }, 'retry.budget: expected a number from 0 to 1, got 2'],
    [{ initialBackoffMs: -1 }, 'retry.initialBackoffMs: expected a number from 0, got -1'],
    [{ maxBackoffMs: Number.NaN }, 'retry.maxBackoffMs: expected a number from 0, got NaN'],
  ])('the options %o are refused by name', (retry, text) => {
    expect(() => new InferenceClient('localhost:1', { retry })).toThrow(text);
  });
});
