import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transport } from '../../../src/gateway/accept/call.ts';
import { listenGrpcJs } from '../../../src/gateway/accept/grpc-js-transport.ts';
import { type InferenceApi, inferenceRoutes } from '../../../src/gateway/accept/inference-service.ts';
import type { ModelStatisticsMessage } from '../../../src/gateway/accept/messages.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { RawClient } from './raw-client.ts';
import { loadService, ReferenceClient } from './reference-service.ts';

const SERVICE = loadService('inference.proto', 'inference.GRPCInferenceService');

const NONE = { count: '0', ns: '0' };

const STATISTICS: ModelStatisticsMessage = {
  name: 'add',
  version: '1',
  last_inference: '1764000000123',
  inference_count: '3',
  execution_count: '1',
  inference_stats: {
    success: { count: '3', ns: '9007199254740993' },
    fail: NONE,
    queue: NONE,
    compute_input: NONE,
    compute_infer: NONE,
    compute_output: NONE,
    cache_hit: NONE,
    cache_miss: NONE,
  },
  batch_stats: [],
};

const api: InferenceApi = {
  live: () => true,
  ready: () => false,
  modelReady: (name, version) => `${name}:${version}` === 'add:1',
  serverMetadata: () => ({ name: 'tensorgate', version: '0.1.0', extensions: ['statistics'] }),
  modelMetadata(name) {
    if (name !== 'add') throw new InferError('model_not_found', `Request for unknown model: '${name}' is not found`);
    const spec = { name: 'x', datatype: 'FP32', shape: [-1, 4] } as const;
    return { name, versions: ['1', '2'], platform: 'onnxruntime_onnx', inputs: [spec], outputs: [] };
  },
  modelConfig(name) {
    if (name === '') throw new Error('a secret');
    return { name, platform: '', backend: 'onnxruntime', max_batch_size: 8, input: [], output: [] };
  },
  modelStatistics: () => [STATISTICS],
  async infer(wire) {
    if (wire.byteLength === 0) throw new InferError('queue_full', 'the queue is full', { pushback: 'never' });
    return { chunks: [wire], trailers: { 'x-load': '0.5' } };
  },
  async streamInfer(wire) {
    return [SERVICE['ModelStreamInfer']?.responseSerialize({ error_message: `${wire.byteLength} bytes` }) ?? wire];
  },
};

describe('GRPCInferenceService', () => {
  let transport: Transport;
  let raw: RawClient;
  let client: ReferenceClient;

  beforeAll(async () => {
    const limits = { maxMessageBytes: 1024 * 1024, maxConcurrentStreams: 100, defaultDeadlineMs: 30_000 };
    transport = await listenGrpcJs(
      { host: '127.0.0.1', port: 0, maxDeadlineMs: 30_000, ...limits },
      inferenceRoutes(api),
    );
    raw = new RawClient(transport.port);
    client = new ReferenceClient(raw, SERVICE);
  });

  afterAll(async () => {
    raw.close();
    await transport.drain(1_000);
  });

  test.each([
    ['ServerLive', {}, { live: true }],
    ['ServerReady', {}, { ready: false }],
    ['ModelReady', { name: 'add', version: '1' }, { ready: true }],
    ['ModelReady', { name: 'add' }, { ready: false }],
    ['ServerMetadata', {}, { name: 'tensorgate', version: '0.1.0', extensions: ['statistics'] }],
    [
      'ModelMetadata',
      { name: 'add' },
      {
        name: 'add',
        versions: ['1', '2'],
        platform: 'onnxruntime_onnx',
        inputs: [{ name: 'x', datatype: 'FP32', shape: ['-1', '4'] }],
      },
    ],
    ['ModelConfig', { name: 'add' }, { config: { name: 'add', backend: 'onnxruntime', max_batch_size: 8 } }],
    ['ModelStatistics', {}, { model_stats: [STATISTICS] }],
  ])('%s %o is answered', async (rpc, request, message) => {
    expect(await client.call(rpc, request)).toMatchObject({ status: 'OK', message });
  });

  test('an InferError becomes its status and its text', async () => {
    expect(await client.call('ModelMetadata', { name: 'nope' })).toMatchObject({
      status: 'NOT_FOUND',
      text: "Request for unknown model: 'nope' is not found",
    });
  });

  test('whatever else is thrown becomes INTERNAL, and is not told', async () => {
    expect(await client.call('ModelConfig')).toMatchObject({ status: 'INTERNAL', text: 'internal error' });
  });

  test('bytes that are no message are INTERNAL "Unable to parse request", as recorded of Triton', async () => {
    const outcome = await raw.unary('/inference.GRPCInferenceService/ModelReady', Buffer.from([0xff]));
    expect(outcome).toMatchObject({ status: 'INTERNAL', text: 'Unable to parse request' });
  });

  test('ModelInfer passes bytes through, in both directions', async () => {
    const wire = Buffer.from('no message of protobuf');
    const outcome = await raw.unary('/inference.GRPCInferenceService/ModelInfer', wire);
    expect(outcome).toMatchObject({ status: 'OK', message: wire });
    expect(outcome.trailers.get('x-load')).toEqual(['0.5']);
  });

  test('ModelInfer says how long to wait where the error knows', async () => {
    const { status, trailers } = await raw.unary('/inference.GRPCInferenceService/ModelInfer', new Uint8Array(0));
    expect(status).toBe('RESOURCE_EXHAUSTED');
    expect(trailers.get('grpc-retry-pushback-ms')).toEqual(['-1']);
  });

  test('ModelStreamInfer answers each request of the stream', async () => {
    const { status, messages } = await client.stream('ModelStreamInfer', [{ id: '1' }, {}, { id: '333' }]);
    expect(status).toBe('OK');
    expect(messages.map((message) => message['error_message'])).toEqual(['3 bytes', '0 bytes', '5 bytes']);
  });

  test('every other RPC of the service is UNIMPLEMENTED, and its text names it', async () => {
    const offered = [
      ...['ServerLive', 'ServerReady', 'ModelReady', 'ServerMetadata', 'ModelMetadata', 'ModelConfig'],
      ...['ModelStatistics', 'ModelInfer', 'ModelStreamInfer'],
    ];
    const others = Object.keys(SERVICE).filter((name) => !offered.includes(name));
    expect(others).toHaveLength(11);
    for (const name of others) {
      expect(await client.call(name)).toMatchObject({
        status: 'UNIMPLEMENTED',
        text: `${name} is not offered by this server`,
      });
    }
  });
});
