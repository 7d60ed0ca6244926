import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InferenceClient, InferenceError, tensor } from '../../src/client/inference-client.ts';
import { createTestServer, fakeModel, type TestServer } from '../../src/testing/test-server.ts';

const CALL_MS = 20_000;

/** Inputs that `double` received. */
const received: number[] = [];

const double = fakeModel({
  inputs: { x: { datatype: 'FP32', shape: [-1, 2] } },
  outputs: { y: { datatype: 'FP32', shape: [-1, 2] } },
  maxBatchSize: 4,
  run: ({ x }) => {
    received.push(x.data[0] ?? Number.NaN);
    return {
      y: tensor.fp32(
        x.data.map((value) => 2 * value),
        x.shape,
      ),
    };
  },
});

const greet = fakeModel({
  inputs: { name: { datatype: 'BYTES', shape: [1] } },
  outputs: {
    text: { datatype: 'BYTES', shape: [1] },
    scores: { datatype: 'FP32', shape: [2], labels: ['polite', 'rude'] },
  },
  run: async ({ name }) => {
    const [who = ''] = name.strings();
    if (who === '') throw new Error('no one to greet');
    return { text: tensor.bytes([`hello ${who}`], [1]), scores: tensor.fp32([0.75, 0.25], [2]) };
  },
});

const wrong = fakeModel({
  inputs: { x: { datatype: 'INT32', shape: [1] } },
  outputs: { y: { datatype: 'INT32', shape: [1] } },
  run: () => ({ y: tensor.int32([1, 2], [2]) }),
});

/** The signal of its last call. */
let lastSignal: AbortSignal | undefined;
const never = fakeModel({
  inputs: { x: { datatype: 'INT32', shape: [1] } },
  outputs: { y: { datatype: 'INT32', shape: [1] } },
  run: (_, signal) => {
    lastSignal = signal;
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  },
});

let server: TestServer;
let client: InferenceClient;
beforeAll(async () => {
  server = await createTestServer({ models: { double, greet, never, wrong } });
  client = new InferenceClient(server.address, { deadlineMs: CALL_MS });
});
afterAll(async () => {
  client.close();
  await server.close();
});

const X = { x: tensor.fp32([1, 2], [1, 2]) };
const callDouble = (options = {}) => client.infer('double', X, options);
const failureOf = (call: Promise<unknown>): Promise<InferenceError> =>
  call.then(
    () => Promise.reject(new Error('the call did not fail')),
    (error: unknown) => {
      if (error instanceof InferenceError) return error;
      throw error;
    },
  );

describe('a fake model', () => {
  test('answers by its function, over gRPC, streams and REST', async () => {
    expect((await callDouble()).output('y', 'FP32')).toMatchObject({ shape: [1, 2], data: Float32Array.of(2, 4) });
    const answers = client.stream([{ model: 'double', inputs: X }]);
    for await (const answer of answers) expect(answer).toMatchObject({ kind: 'result' });
    const response = await fetch(`${server.httpAddress}/v2/models/double/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [3, 4] }] }),
    });
    expect(await response.json()).toMatchObject({ outputs: [{ name: 'y', data: [6, 8] }] });
  });

  test('takes and gives texts, and has classes', async () => {
    const name = tensor.bytes(['Ada'], [1]);
    const { outputs } = await client.infer('greet', { name }, { outputs: { scores: { classification: 1 }, text: {} } });
    expect(outputs.get('text')?.strings()).toEqual(['hello Ada']);
    expect(outputs.get('scores')?.strings()).toEqual([expect.stringMatching(/^0\.75.*:0:polite$/)]);
  });

  test('is described as any other model', async () => {
    expect(await client.modelMetadata('double')).toMatchObject({
      versions: ['1'],
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    });
    expect(await client.modelConfig('double')).toMatchObject({ maxBatchSize: 4, input: [{ name: 'x' }] });
    expect(await client.ready({ model: 'double' })).toBe(true);
    const { parameters } = await client.modelConfig('greet');
    expect(parameters['labels.scores']?.stringValue).toBe('["polite","rude"]');
    const [statistics] = await client.modelStatistics('double');
    expect(Number(statistics?.executionCount)).toBeGreaterThan(0);
  });

  test('receives no request that does not fit its description', async () => {
    received.length = 0;
    const failure = await failureOf(client.infer('double', { x: tensor.fp32([1], [1, 1]) }));
    expect(failure).toMatchObject({ status: 'INVALID_ARGUMENT', reason: 'invalid_request', retryable: false });
    expect(received).toEqual([]);
  });

  test('fails a call with the text of the error that its function throws', async () => {
    const failure = await failureOf(client.infer('greet', { name: tensor.bytes([''], [1]) }));
    expect(failure).toMatchObject({ status: 'INTERNAL', details: "the fake model 'greet' failed: no one to greet" });
  });

  test('fails a call whose answer does not fit its description', async () => {
    const failure = await failureOf(client.infer('wrong', { x: tensor.int32([1], [1]) }));
    expect(failure.details).toBe("the fake model 'wrong' failed: it returned 'y' as INT32 [2]: expected INT32 [1]");
  });

  test('learns by its signal that the caller is gone', async () => {
    const failure = await failureOf(client.infer('never', { x: tensor.int32([1], [1]) }, { deadlineMs: 300 }));
    expect(failure.status).toBe('DEADLINE_EXCEEDED');
    if (lastSignal?.aborted !== true) {
      await new Promise((resolve) => lastSignal?.addEventListener('abort', resolve, { once: true }));
    }
    expect(lastSignal?.reason).toMatchObject({ reason: expect.stringMatching(/deadline_exceeded|cancelled/) });
  });
});

describe('an injected fault', () => {
  test('delays answers beyond the deadline of a caller, until its scope ends', async () => {
    {
      using _slow = server.inject('double', { kind: 'latency', ms: 2 * CALL_MS });
      expect(await failureOf(callDouble({ deadlineMs: 300 }))).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
    }
    await callDouble();
  });

  test('fails calls with the status, the reason and the wait of its reason', async () => {
    using _down = server.inject('double', {
      kind: 'error',
      reason: 'model_not_ready',
      message: 'gone',
      pushbackMs: 50,
    });
    expect(await failureOf(callDouble())).toMatchObject({
      ...{ status: 'UNAVAILABLE', reason: 'model_not_ready', details: 'gone', pushbackMs: 50, retryable: true },
    });
    await client.infer('greet', { name: tensor.bytes(['Ada'], [1]) });
  });

  test('that refuses for overload ends after its calls, so that a caller that retries is answered', async () => {
    server.inject('double', { kind: 'overload', pushbackMs: 10, calls: 2 });
    expect(await failureOf(callDouble())).toMatchObject({ status: 'RESOURCE_EXHAUSTED', reason: 'overloaded' });
    await using retrying = new InferenceClient(server.address, { deadlineMs: CALL_MS, retry: true });
    expect((await retrying.infer('double', X)).output('y', 'FP32').data).toEqual(Float32Array.of(2, 4));
  });

  test('needs a model that is there, and at least one call', () => {
    expect(() => server.inject('duble', { kind: 'latency', ms: 1 })).toThrow(
      "there is no fake model 'duble': expected one of double, greet, never, wrong",
    );
    expect(() => server.inject('double', { kind: 'latency', ms: 1, calls: 0 })).toThrow('expected at least 1, got 0');
  });
});

test('a fake model with rows whose axis 0 is not open is refused, as is a name that is none', async () => {
  const fixed = { ...double, inputs: { x: { datatype: 'FP32', shape: [1, 2] } } } as const;
  await expect(createTestServer({ models: { fixed } })).rejects.toThrow(
    "fake model 'fixed': axis 0 of 'x' counts rows: expected -1, got 1",
  );
  await expect(createTestServer({ models: { 'a/b': double } })).rejects.toThrow("'a/b' is no model name");
});

test('the tensors of a function have the types of its description', () => {
  fakeModel({
    inputs: { x: { datatype: 'FP32', shape: [1] } },
    outputs: { y: { datatype: 'FP32', shape: [1] } },
    // @ts-expect-error: the output is FP32.
    run: ({ x }) => {
      const data: Float32Array = x.data;
      return { y: tensor.fp64([...data], [1]) };
    },
  });
  expect(double.maxBatchSize).toBe(4);
});
