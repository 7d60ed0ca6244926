import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transport, UnaryCall } from '../../../src/gateway/accept/call.ts';
import type { ControlApi } from '../../../src/gateway/accept/control-service.ts';
import { listenGrpcJs } from '../../../src/gateway/accept/grpc-js-transport.ts';
import { type InferenceApi, inferenceRoutes, type ServedRpcs } from '../../../src/gateway/accept/inference-service.ts';
import type { ModelStatisticsMessage } from '../../../src/gateway/accept/messages.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { TRANSPORT_OPTIONS } from '../../support/transport-options.ts';
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
    cancel: NONE,
    reject: NONE,
  },
  batch_stats: [],
};

const api: InferenceApi = {
  live: () => true,
  ready: () => false,
  screenInfer: () => undefined,
  modelReady: (name, version) => `${name}:${version}` === 'add:1',
  keepsState: () => false,
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
  activate: async () => {},
  modelStatistics: () => [STATISTICS],
  async infer(wire) {
    if (wire.byteLength === 0) throw new InferError('queue_full', 'the queue is full', { pushback: 'never' });
    const response = { modelName: '', modelVersion: '', id: '', parameters: new Map(), outputs: [] };
    return { chunks: [wire], response, trailers: { 'x-load': '0.5' } };
  },
  loadReport: (call) => (call.get('x-report') === undefined ? undefined : { 'x-report-bin': Uint8Array.of(7) }),
  async streamInfer({ wire }) {
    const message = SERVICE['ModelStreamInfer']?.responseSerialize({ error_message: `${wire.byteLength} bytes` });
    return { chunks: [message ?? wire], release() {} };
  },
};

const LOADED = { name: 'add', version: '1', state: 'READY', reason: '' } as const;

/** Loads as they were asked for. */
const loads: object[] = [];

const control: ControlApi = {
  takesFiles: true,
  screenLoading: () => undefined,
  repositoryIndex: async (readyOnly) =>
    readyOnly ? [LOADED] : [LOADED, { ...LOADED, name: 'bad', state: 'UNAVAILABLE', reason: 'broken' }],
  knows: async (name) => name === 'add',
  async loadModel(name, { config, files }) {
    if (name === 'nope') throw new InferError('model_not_found', `no model ${name}`);
    loads.push({ name, config, files: [...files] });
  },
  unloadModel() {},
  traceSettings: async (_, changes) => (changes.size === 0 ? { trace_level: ['OFF'] } : Object.fromEntries(changes)),
  logSettings: (changes) => Object.fromEntries(changes),
};

describe('GRPCInferenceService', () => {
  let transport: Transport;
  let raw: RawClient;
  let client: ReferenceClient;

  beforeAll(async () => {
    transport = await listenGrpcJs(TRANSPORT_OPTIONS, inferenceRoutes(api, control));
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

  test('an unexpected exception becomes INTERNAL, and its text stays inside', async () => {
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

  test.each([
    ['an answer', Buffer.from('request'), { 'x-load': ['0.5'] }],
    ['a refusal', new Uint8Array(0), { 'grpc-retry-pushback-ms': ['-1'] }],
  ])('a load report comes with %s, beside its other trailers', async (_, wire, others) => {
    const path = '/inference.GRPCInferenceService/ModelInfer';
    const { trailers } = await raw.unary(path, wire, { metadata: { 'x-report': '1' } });
    expect(trailers.get('x-report-bin')).toEqual([Buffer.of(7)]);
    for (const [name, values] of Object.entries(others)) expect(trailers.get(name)).toEqual(values);
  });

  test('ModelStreamInfer answers each request of the stream', async () => {
    const { status, messages } = await client.stream('ModelStreamInfer', [{ id: '1' }, {}, { id: '333' }]);
    expect(status).toBe('OK');
    expect(messages.map((message) => message['error_message'])).toEqual(['3 bytes', '0 bytes', '5 bytes']);
  });

  test.each([
    ['RepositoryIndex', {}, { models: [LOADED, { ...LOADED, name: 'bad', state: 'UNAVAILABLE', reason: 'broken' }] }],
    ['RepositoryIndex', { ready: true }, { models: [LOADED] }],
    ['RepositoryModelLoad', { model_name: 'add' }, { model_name: '', is_loaded: false }],
    ['RepositoryModelLoad', { repository_name: 'add' }, { model_name: 'add', is_loaded: true }],
    ['RepositoryModelUnload', { model_name: 'add' }, { model_name: '', is_unloaded: false }],
    ['RepositoryModelUnload', { repository_name: 'add' }, { model_name: 'add', is_unloaded: true }],
    ['TraceSetting', {}, { settings: { trace_level: { value: ['OFF'] } } }],
    [
      'TraceSetting',
      { model_name: 'add', settings: { trace_rate: { value: ['7'] }, trace_count: {} } },
      { settings: { trace_rate: { value: ['7'] }, trace_count: { value: [] } } },
    ],
    [
      'LogSettings',
      { settings: { log_info: { bool_param: true }, log_verbose_level: { uint32_param: 1 } } },
      { settings: { log_info: { bool_param: true }, log_verbose_level: { uint32_param: 1 } } },
    ],
    ['SystemSharedMemoryStatus', {}, { regions: {} }],
    ['CudaSharedMemoryStatus', {}, { regions: {} }],
    ['SystemSharedMemoryUnregister', { name: 'r' }, {}],
    ['CudaSharedMemoryUnregister', {}, {}],
  ])('%s %o is answered', async (rpc, request, message) => {
    expect(await client.call(rpc, request)).toMatchObject({ status: 'OK', message });
  });

  test('a load hands on its configuration and its files', async () => {
    loads.length = 0;
    const large = new Uint8Array(100_000).fill(7);
    await client.call('RepositoryModelLoad', {
      model_name: 'add',
      parameters: { config: { string_param: '{}' }, 'file:7/model.onnx': { bytes_param: large } },
    });
    expect(loads).toEqual([{ name: 'add', config: '{}', files: [['7/model.onnx', large]] }]);
  });

  test.each([
    [
      'RepositoryIndex',
      { repository_name: 'zzz' },
      'UNIMPLEMENTED',
      "'repository_name' specification is not supported",
    ],
    [
      'RepositoryModelLoad',
      { repository_name: 'zzz' },
      'UNIMPLEMENTED',
      "'repository_name' specification is not supported",
    ],
    [
      'RepositoryModelLoad',
      { model_name: 'add', parameters: { config: { bool_param: true } } },
      'INVALID_ARGUMENT',
      "invalid value type for load parameter 'config', expected string_param.",
    ],
    [
      'RepositoryModelLoad',
      { model_name: 'add', parameters: { 'file:1/model.onnx': { string_param: 'x' } } },
      'INVALID_ARGUMENT',
      "invalid value type for load parameter 'file:1/model.onnx', expected bytes_param.",
    ],
    [
      'RepositoryModelLoad',
      { model_name: 'add', parameters: { foo: { bool_param: true } } },
      'INVALID_ARGUMENT',
      "unrecognized load parameter 'foo'.",
    ],
    ['RepositoryModelLoad', { model_name: 'nope' }, 'NOT_FOUND', 'no model nope'],
    [
      'RepositoryModelUnload',
      { model_name: 'add', parameters: { unload_dependents: { string_param: 'x' } } },
      'INVALID_ARGUMENT',
      "invalid value type for 'unload_dependents' parameter, expected bool_param.",
    ],
    ['LogSettings', { settings: { log_info: {} } }, 'INVALID_ARGUMENT', "log setting 'log_info' has no value"],
    ['SystemSharedMemoryStatus', { name: 'r' }, 'NOT_FOUND', "Unable to find system shared memory region: 'r'"],
    ['CudaSharedMemoryStatus', { name: 'r' }, 'NOT_FOUND', "Unable to find cuda shared memory region: 'r'"],
    [
      'SystemSharedMemoryRegister',
      { name: 'r', key: '/r', byte_size: '16' },
      'UNIMPLEMENTED',
      'SystemSharedMemoryRegister: this server takes no tensors through shared memory: send the contents in the request',
    ],
  ])('%s %o is refused with %s', async (rpc, request, status, text) => {
    expect(await client.call(rpc, request)).toMatchObject({ status, text });
  });
});

describe('ports', () => {
  const pathOf = (name: string): string => `/inference.GRPCInferenceService/${name}`;
  const kindOf = (served: ServedRpcs, name: string): string | undefined => {
    const method = inferenceRoutes(api, control, served).get(pathOf(name));
    let refused: string | undefined;
    const fail = (_: unknown, text: string): void => {
      refused = text;
    };
    if (method?.kind === 'unary')
      method.handle({ fail, reply() {}, message: new Uint8Array(0) } as unknown as UnaryCall);
    return refused;
  };

  test('offer every RPC of the service between them', () => {
    expect([...inferenceRoutes(api, control).keys()].sort()).toEqual(Object.keys(SERVICE).map(pathOf).sort());
  });

  test('with an admin port, what changes the server is offered only there', () => {
    for (const name of ['RepositoryModelLoad', 'RepositoryModelUnload', 'TraceSetting', 'LogSettings']) {
      expect(kindOf('without-admin', name)).toBe(`${name} is offered only on the admin port`);
      expect(kindOf('admin-only', name) ?? '').not.toMatch(/admin port/);
    }
    expect(kindOf('without-admin', 'RepositoryIndex')).toBeUndefined();
    expect(kindOf('admin-only', 'ModelInfer')).toBe('ModelInfer is not offered on the admin port');
  });
});
