import { EventEmitter, once } from 'node:events';
import {
  Metadata,
  type Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { InferenceClient, InferenceError, type StreamRequest, tensor } from '../../src/client/inference-client.ts';
import { type Message, startFakeServer, toEcho, type UnaryHandler } from './fake-server.ts';

let server: Server;
let client: InferenceClient;
let target: string;

async function serve(methods: UntypedServiceImplementation): Promise<void> {
  ({ server, target } = await startFakeServer(methods));
  client = new InferenceClient(target);
}

afterEach(() => {
  client.close();
  server.forceShutdown();
});

const echo: UnaryHandler = ({ request }, reply) => reply(null, toEcho(request));

const fail =
  (code: number, details: string, metadata?: Metadata): UnaryHandler =>
  (_call, reply) =>
    reply({ code, details, ...(metadata && { metadata }) });

async function rejectionOf(promise: Promise<unknown>): Promise<InferenceError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(InferenceError);
  return error as InferenceError;
}

describe('infer', () => {
  test('gives back every datatype in its typed array, whatever the alignment', async () => {
    await serve({ ModelInfer: echo });
    const inputs = {
      // An odd number of bytes first, so that what follows is not aligned.
      odd: tensor.uint8([1, 2, 3], [3]),
      bool: tensor.bool([true, false, true], [3]),
      i8: tensor.int8([-1], [1]),
      u16: tensor.uint16([65_535], [1]),
      i16: tensor.int16([-2], [1]),
      u32: tensor.uint32([4_294_967_295], [1]),
      i32: tensor.int32([-3], [1]),
      u64: tensor.uint64([2n ** 64n - 1n], [1]),
      i64: tensor.int64([-(2n ** 63n)], [1]),
      fp16: tensor.fp16(new Uint16Array([0x3c00]), [1]),
      bf16: tensor.bf16(new Uint16Array([0x3f80]), [1]),
      fp32: tensor.fp32([0.5, Number.NaN], [1, 2]),
      fp64: tensor.fp64([Math.PI], [1]),
      text: tensor.bytes(['grün', ''], [2, 1]),
      empty: tensor.fp32([], [0, 4]),
      scalar: tensor.fp32([7], []),
    };
    const { outputs } = await client.infer('m', inputs);
    expect(Object.fromEntries(outputs)).toEqual(inputs);
    expect(outputs.get('text')?.strings()).toEqual(['grün', '']);
  });

  test('sends model, version, id, parameters and requested outputs', async () => {
    let request: Message = {};
    await serve({
      ModelInfer: (call: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) => {
        request = call.request;
        echo(call, reply);
      },
    });
    await client.infer(
      'm',
      { x: tensor.int32([1, 2], [2, 1]) },
      {
        version: '7',
        id: 'ä1',
        outputs: { y: { classification: 3 }, z: { parameters: { shared: 'r' } } },
        parameters: { flag: true, count: 5, big: 2n ** 40n, half: 0.5, text: 'x' },
      },
    );
    expect(request).toMatchObject({
      model_name: 'm',
      model_version: '7',
      id: 'ä1',
      inputs: [{ name: 'x', datatype: 'INT32', shape: [2, 1] }],
      raw_input_contents: [Buffer.from([1, 0, 0, 0, 2, 0, 0, 0])],
      outputs: [
        { name: 'y', parameters: { classification: { int64_param: 3 } } },
        { name: 'z', parameters: { shared: { string_param: 'r' } } },
      ],
      parameters: {
        flag: { bool_param: true },
        count: { int64_param: 5 },
        big: { int64_param: 2 ** 40 },
        half: { double_param: 0.5 },
        text: { string_param: 'x' },
      },
    });
  });

  test('reads typed contents too, and the parameters of the answer', async () => {
    await serve({
      ModelInfer: (_call: unknown, reply: sendUnaryData<Message>) =>
        reply(null, {
          model_name: 'm',
          model_version: '2',
          id: 'a',
          parameters: { n: { int64_param: 4 }, s: { string_param: 't' } },
          outputs: [
            { name: 'y', datatype: 'FP32', shape: [2], contents: { fp32_contents: [0.5, 1.5] } },
            { name: 'l', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [Buffer.from('cat')] } },
          ],
        }),
    });
    const result = await client.infer('m', {});
    expect(result).toMatchObject({ modelName: 'm', modelVersion: '2', id: 'a', timing: undefined });
    expect([...result.parameters]).toEqual([
      ['n', 4n],
      ['s', 't'],
    ]);
    expect(result.output('y', 'FP32').data).toEqual(new Float32Array([0.5, 1.5]));
    expect(result.output('l', 'BYTES').strings()).toEqual(['cat']);
    expect(() => result.output('x', 'FP32')).toThrow("model 'm' answered without an output 'x'; it has: y, l");
    expect(() => result.output('y', 'FP64')).toThrow("output 'y' of model 'm' is FP32, not FP64");
  });

  test('reports the time that the server says it took, where it was asked for', async () => {
    await serve({
      ModelInfer: ({ request, metadata }: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) => {
        const trailer = new Metadata();
        if (metadata.get('tensorgate-timing').length > 0) {
          trailer.set('tensorgate-batch-rows', '8');
          trailer.set('tensorgate-queue-us', '120');
          trailer.set('tensorgate-compute-us', '3400');
        }
        reply(null, toEcho(request), trailer);
      },
    });
    const asked = await client.infer('m', {}, { timing: true });
    expect(asked.timing).toEqual({ batchRows: 8, queueUs: 120, computeUs: 3400 });
    expect((await client.infer('m', {})).timing).toBeUndefined();
  });

  test('carries 20 MB both ways: more than gRPC allows by default', async () => {
    await serve({ ModelInfer: echo });
    const data = new Float32Array(5_000_000).fill(0.25);
    const { outputs } = await client.infer('m', { x: tensor.fp32(data, [5_000_000]) });
    expect(outputs.get('x')?.data).toHaveLength(data.length);
    expect(outputs.get('x')?.data.at(-1)).toBe(0.25);
  });

  test('sends metadata', async () => {
    let seen: unknown;
    await serve({
      ModelInfer: (call: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) => {
        seen = call.metadata.get('x-canary');
        echo(call, reply);
      },
    });
    await client.infer('m', {}, { metadata: { 'x-canary': 'always' } });
    expect(seen).toEqual(['always']);
  });
});

describe('a call that fails', () => {
  test('says its status, its model and the text of the server', async () => {
    await serve({ ModelInfer: fail(status.NOT_FOUND, "Request for unknown model: 'm' is not found") });
    const error = await rejectionOf(client.infer('m', {}));
    expect(error).toMatchObject({
      code: 5,
      status: 'NOT_FOUND',
      message: "[NOT_FOUND] m: Request for unknown model: 'm' is not found",
      details: "Request for unknown model: 'm' is not found",
      retryable: false,
      model: 'm',
      pushbackMs: undefined,
    });
    expect(client.connected).toBe(true);
  });

  test.each([
    ['250', 250],
    ['0', 0],
    ['-1', -1],
    ['soon', -1],
  ])('says how long to wait before another try: %s', async (text, expected) => {
    const trailer = new Metadata();
    trailer.set('grpc-retry-pushback-ms', text);
    await serve({ ModelInfer: fail(status.RESOURCE_EXHAUSTED, 'queue full', trailer) });
    expect((await rejectionOf(client.infer('m', {}))).pushbackMs).toBe(expected);
  });

  test('is INTERNAL where the answer is no message', async () => {
    await serve({
      ModelInfer: (_call: unknown, reply: sendUnaryData<Message>) =>
        reply(null, { outputs: [{ name: 'y', datatype: 'FP32', shape: [2] }], raw_output_contents: [Buffer.alloc(7)] }),
    });
    const error = await rejectionOf(client.infer('m', {}));
    expect(error.status).toBe('INTERNAL');
    expect(error.message).toContain("output 'y' has 7 bytes, expected 8");
  });

  test('is UNAVAILABLE where no one listens, and the client is not connected', async () => {
    await serve({});
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    server.tryShutdown(() => resolve());
    await closed;
    expect((await rejectionOf(client.infer('m', {}))).status).toBe('UNAVAILABLE');
    expect(client.connected).toBe(false);
  });

  test('ends at the deadline of the call, or of the client', async () => {
    await serve({ ModelInfer: () => {}, ServerLive: () => {} });
    expect((await rejectionOf(client.infer('m', {}, { deadlineMs: 20 }))).status).toBe('DEADLINE_EXCEEDED');
    using impatient = new InferenceClient(target, { deadlineMs: 20 });
    expect((await rejectionOf(impatient.serverLive())).status).toBe('DEADLINE_EXCEEDED');
  });

  test('is cancelled by its signal, in the server too, with the reason as the cause', async () => {
    const events = new EventEmitter();
    await serve({
      ModelInfer: (call: ServerUnaryCall<Message, Message>) => {
        call.on('cancelled', () => events.emit('cancelled'));
        events.emit('started');
      },
    });
    const started = once(events, 'started');
    const cancelled = once(events, 'cancelled');
    const aborter = new AbortController();
    const failure = rejectionOf(client.infer('m', {}, { signal: aborter.signal }));
    await started;
    aborter.abort(new Error('no longer wanted'));
    expect(await failure).toMatchObject({ status: 'CANCELLED', cause: new Error('no longer wanted') });
    await cancelled;
  });

  test('is not sent where its signal is aborted already', async () => {
    await serve({ ModelInfer: echo });
    const failure = await rejectionOf(client.infer('m', {}, { signal: AbortSignal.abort('why') }));
    expect(failure).toMatchObject({ status: 'CANCELLED', cause: 'why', model: 'm' });
  });

  test('leaves no listener on a signal that outlives it', async () => {
    await serve({ ModelInfer: echo, ServerLive: fail(status.INTERNAL, 'no') });
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners += 1;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners -= 1;
      removeEventListener.apply(signal, args);
    };
    await client.infer('m', {}, { signal });
    await rejectionOf(client.serverLive({ signal }));
    expect(listeners).toBe(0);
  });
});

describe('the other calls', () => {
  const seen: Message[] = [];
  const answer =
    (response: Message): UnaryHandler =>
    ({ request }, reply) => {
      seen.push(request);
      reply(null, response);
    };

  beforeEach(() => {
    seen.length = 0;
  });

  test('ask the server about itself', async () => {
    await serve({
      ServerLive: answer({ live: true }),
      ServerReady: answer({ ready: false }),
      ServerMetadata: answer({ name: 'tensorgate', version: '1.2.3', extensions: ['statistics'] }),
    });
    expect(await client.serverLive()).toBe(true);
    expect(await client.serverReady()).toBe(false);
    expect(await client.serverMetadata()).toEqual({ name: 'tensorgate', version: '1.2.3', extensions: ['statistics'] });
  });

  test('ask about a model, with plain numbers for shapes and counts', async () => {
    const io = { name: 'x', datatype: 'FP32', shape: [-1, 3] };
    await serve({
      ModelReady: answer({ ready: true }),
      ModelMetadata: answer({
        name: 'm',
        versions: ['1', '2'],
        platform: 'onnxruntime_onnx',
        inputs: [io],
        outputs: [],
      }),
      ModelConfig: answer({
        config: {
          name: 'm',
          max_batch_size: 64,
          dynamic_batching: { max_queue_delay_microseconds: 500 },
          parameters: { batching: { string_value: 'on (axis 0, max 64)' } },
        },
      }),
      ModelStatistics: answer({
        model_stats: [{ name: 'm', version: '2', inference_count: 12, execution_count: 3 }],
      }),
    });
    expect(await client.modelReady('m', { version: '2' })).toBe(true);
    expect(await client.modelMetadata('m')).toEqual({
      name: 'm',
      versions: ['1', '2'],
      platform: 'onnxruntime_onnx',
      inputs: [io],
      outputs: [],
      properties: {},
    });
    expect(await client.modelConfig('m')).toMatchObject({
      maxBatchSize: 64,
      dynamicBatching: { maxQueueDelayMicroseconds: 500 },
      parameters: { batching: { stringValue: 'on (axis 0, max 64)' } },
    });
    expect(await client.modelStatistics('')).toMatchObject([
      { name: 'm', version: '2', inferenceCount: 12, executionCount: 3, batchStats: [] },
    ]);
    expect(seen.map(({ name, version }) => [name, version])).toEqual([
      ['m', '2'],
      ['m', ''],
      ['m', ''],
      ['', ''],
    ]);
  });
});

test('loads and unloads models by the parameters of the protocol', async () => {
  const seen: Message[] = [];
  const note: UnaryHandler = ({ request }, reply) => {
    seen.push(request);
    reply(null, {});
  };
  await serve({ RepositoryModelLoad: note, RepositoryModelUnload: note });
  await client.loadModel('m');
  await client.loadModel('m', { config: '{}' });
  await client.unloadModel('m');
  await client.unloadModel('m', { dependents: true });
  expect(seen).toMatchObject([
    { model_name: 'm', parameters: {} },
    { model_name: 'm', parameters: { config: { string_param: '{}' } } },
    { model_name: 'm', parameters: {} },
    { model_name: 'm', parameters: { unload_dependents: { bool_param: true } } },
  ]);
});

describe('stream', () => {
  type StreamCall = ServerDuplexStream<Message, Message>;

  /** Echoes; a request for the model `bad` fails in band. */
  function echoStream(call: StreamCall): void {
    call.on('data', (request: Message) => {
      call.write(
        request['model_name'] === 'bad'
          ? { error_message: 'no such model', infer_response: { id: request['id'] } }
          : { infer_response: toEcho(request) },
      );
    });
    call.on('end', () => call.end());
  }

  const request = (id: string, model = 'm'): StreamRequest => ({
    model,
    id,
    inputs: { x: tensor.fp32([Number(id)], [1]) },
  });

  test('answers in order, failed requests too, and ends when the requests do', async () => {
    await serve({ ModelStreamInfer: echoStream });
    const answers: unknown[] = [];
    for await (const answer of client.stream([request('1'), request('2', 'bad'), request('3')])) {
      answers.push(answer.kind === 'result' ? answer.result.output('x', 'FP32').data[0] : answer.error.details);
    }
    expect(answers).toEqual([1, 'no such model', 3]);
  });

  test('takes requests that depend on answers', async () => {
    await serve({ ModelStreamInfer: echoStream });
    const answered = new EventEmitter();
    async function* requests(): AsyncGenerator<StreamRequest> {
      for (let i = 0; i < 3; i += 1) {
        const next = once(answered, 'answer');
        yield request(String(i));
        await next;
      }
    }
    const ids: string[] = [];
    for await (const { id } of client.stream(requests())) {
      ids.push(id);
      answered.emit('answer');
    }
    expect(ids).toEqual(['0', '1', '2']);
  });

  test('waits where the server does not read', async () => {
    let written = 0;
    function* requests(): Generator<StreamRequest> {
      for (; written < 10_000; written += 1)
        yield { model: 'm', inputs: { x: tensor.uint8(new Uint8Array(1e5), [1e5]) } };
    }
    const { promise, resolve } = Promise.withResolvers<StreamCall>();
    await serve({ ModelStreamInfer: resolve });
    const aborter = new AbortController();
    const answers = client.stream(requests(), { signal: aborter.signal });
    const failure = rejectionOf(answers.next());
    await promise;
    aborter.abort();
    expect((await failure).status).toBe('CANCELLED');
    expect(written).toBeLessThan(1_000);
  });

  test('that is left early is cancelled in the server', async () => {
    const { promise: cancelled, resolve } = Promise.withResolvers<void>();
    await serve({
      ModelStreamInfer: (call: StreamCall) => {
        call.on('cancelled', resolve);
        call.write({ infer_response: { model_name: 'm', id: 'first' } });
      },
    });
    for await (const { id } of client.stream([request('1')])) {
      expect(id).toBe('first');
      break;
    }
    await cancelled;
  });

  test('rejects with the status of the stream', async () => {
    await serve({
      ModelStreamInfer: (call: StreamCall) => call.emit('error', { code: status.UNAVAILABLE, details: 'draining' }),
    });
    const failure = await rejectionOf(client.stream([]).next());
    expect(failure).toMatchObject({ status: 'UNAVAILABLE', message: '[UNAVAILABLE] draining', retryable: true });
  });

  test('rejects with what the source of requests throws', async () => {
    await serve({ ModelStreamInfer: echoStream });
    function* requests(): Generator<StreamRequest> {
      yield request('1');
      throw new RangeError('no more');
    }
    const answers = client.stream(requests());
    await expect(
      (async () => {
        for await (const _ of answers);
      })(),
    ).rejects.toThrow(new RangeError('no more'));
  });
});
