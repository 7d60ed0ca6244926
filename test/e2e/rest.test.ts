/** REST v2 on the HTTP port: the same models and the same answers as over gRPC. */

import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { RawConnection, head as rawHead } from '../gateway/accept/http/raw-http.ts';
import { identityModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { useServer } from '../support/server-fixture.ts';
import { StockClient } from '../support/stock-client.ts';
import { BROKEN, floats, oneInstance, SERVED } from './protocol-requests.ts';

const MAX_BYTES = 65_536;
const HEADER_LENGTH = 'inference-header-content-length';

const fixture = useServer(
  {
    ...SERVED,
    ...BROKEN,
    texts: oneInstance(identityModel('BYTES')),
    longs: oneInstance(identityModel('INT64')),
    halves: oneInstance(identityModel('FP16')),
    'a model.v1': oneInstance(identityModel('FP32')),
  },
  { flags: ['--log-level', 'silent', '--max-message-bytes', String(MAX_BYTES), '--max-json-bytes', String(MAX_BYTES)] },
);

interface Answer {
  readonly code: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  /** The body, or the part before its binary tensors. */
  readonly json: unknown;
}

async function call(path: string, body?: object | Uint8Array, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${fixture.server.http}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers,
    ...(body !== undefined && {
      body: (body instanceof Uint8Array ? body : JSON.stringify(body)) as NonNullable<RequestInit['body']>,
    }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const length = response.headers.get(HEADER_LENGTH);
  const text = bytes.subarray(0, length === null ? undefined : Number(length)).toString();
  const json: unknown = text === '' ? undefined : JSON.parse(text);
  return { code: response.status, headers: response.headers, bytes, json };
}

const A = { name: 'a', datatype: 'FP32', shape: [1, 2], data: [1, 2] };
const B = { name: 'b', datatype: 'FP32', shape: [1, 2], data: [10, 20] };

function infer(model: string, body: object | Uint8Array, headers?: Record<string, string>): Promise<Answer> {
  return call(`/v2/models/${model}/infer`, body, headers);
}

/** JSON, and binary tensors behind it. */
function binary(json: object, ...tensors: readonly Uint8Array[]): [Uint8Array, Record<string, string>] {
  const head = Buffer.from(JSON.stringify(json));
  return [Buffer.concat([head, ...tensors]), { [HEADER_LENGTH]: String(head.byteLength) }];
}

describe('an inference in JSON', () => {
  test('is answered in JSON', async () => {
    const { code, headers, json } = await infer('sum', { id: 'h1', inputs: [A, B] });
    expect([code, headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(json).toEqual({
      id: 'h1',
      model_name: 'sum',
      model_version: '1',
      outputs: [
        { name: 'sum', datatype: 'FP32', shape: [1, 2], data: [11, 22] },
        { name: 'difference', datatype: 'FP32', shape: [1, 2], data: [-9, -18] },
      ],
    });
  });

  test('may name a version, its outputs, and nest its data', async () => {
    const nested = {
      ...A,
      shape: [2, 2],
      data: [
        [1, 2],
        [3, 4],
      ],
    };
    const { json } = await call('/v2/models/sum/versions/1/infer', {
      inputs: [{ ...B, shape: [2, 2], data: [10, 20, 30, 40] }, nested],
      outputs: [{ name: 'sum', parameters: { classification: 1 } }],
    });
    expect(json).toMatchObject({
      outputs: [{ datatype: 'BYTES', shape: [2, 1], data: ['22.000000:1:dog', '44.000000:1:dog'] }],
    });
  });

  test('takes and gives texts', async () => {
    const data = ['grün', '', 'a', 'b'];
    const { json } = await infer('texts', { inputs: [{ name: 'input', datatype: 'BYTES', shape: [1, 4], data }] });
    expect(json).toMatchObject({ outputs: [{ datatype: 'BYTES', data }] });
  });

  test('takes and gives numbers of 16 bits', async () => {
    const data = [0.5, -2, 65_504, 0];
    const { json } = await infer('halves', { inputs: [{ name: 'input', datatype: 'FP16', shape: [1, 4], data }] });
    expect(json).toMatchObject({ outputs: [{ datatype: 'FP16', data }] });
  });

  test('keeps integers of 64 bits exact', async () => {
    const body = Buffer.from(
      '{"inputs": [{"name": "input", "datatype": "INT64", "shape": [1, 4], "data": [9007199254740993, -9223372036854775808, 1, 0]}]}',
    );
    expect((await infer('longs', body)).bytes.toString()).toContain('[9007199254740993,-9223372036854775808,1,0]');
  });

  test('takes and gives NaN and infinities, as Triton and Python write them', async () => {
    const body = Buffer.from(
      '{"inputs": [{"name": "a", "datatype": "FP32", "shape": [1, 2], "data": [NaN, -Infinity]}, {"name": "b", "datatype": "FP32", "shape": [1, 2], "data": [1, 1.5]}]}',
    );
    const response = await fetch(`${fixture.server.http}/v2/models/sum/infer`, { method: 'POST', body });
    expect([response.status, await response.text()]).toEqual([
      200,
      expect.stringContaining('"name":"sum","datatype":"FP32","shape":[1,2],"data":[NaN,-Infinity]'),
    ]);
  });

  test('may have keys that are not known, as clients of the protocol add them, and a byte order mark', async () => {
    const more = { model_name: 'sum', from_the_future: [{ data: [1, 'x', null] }] };
    const body = {
      ...more,
      inputs: [
        { ...more, ...A },
        { ...B, ...more },
      ],
      outputs: [{ name: 'sum', ...more }],
    };
    expect(await infer('sum', body)).toMatchObject({ code: 200, json: { outputs: [{ data: [11, 22] }] } });
    const marked = Buffer.from(`\uFEFF${JSON.stringify({ inputs: [A, B] })}`);
    expect(await infer('sum', marked)).toMatchObject({ code: 200 });
  });

  test('may be compressed', async () => {
    const body = gzipSync(JSON.stringify({ inputs: [A, B] }));
    expect(await infer('sum', body, { 'content-encoding': 'gzip' })).toMatchObject({ code: 200 });
  });

  test('reports where its time went, to those who ask', async () => {
    const { headers } = await infer('sum', { inputs: [A, B] }, { 'tensorgate-timing': '1' });
    expect(headers.get('tensorgate-batch-rows')).toBe('1');
  });

  test('reaches models whose names need encoding', async () => {
    const x = { name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] };
    expect(await infer('a%20model.v1', { inputs: [x] })).toMatchObject({ code: 503 });
  });
});

describe('binary tensors', () => {
  const head = (name: string): object => ({
    name,
    datatype: 'FP32',
    shape: [1, 2],
    parameters: { binary_data_size: 8 },
  });

  test('come behind the JSON, in the order of the inputs, and go back where they are asked for', async () => {
    const [body, headers] = binary(
      { inputs: [head('a'), head('b')], outputs: [{ name: 'sum' }], parameters: { binary_data_output: true } },
      floats(1, 2),
      floats(10, 20),
    );
    const answer = await infer('sum', body, headers);
    expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    expect(answer.json).toMatchObject({ outputs: [{ shape: [1, 2], parameters: { binary_data_size: 8 } }] });
    expect(answer.bytes.subarray(-8)).toEqual(floats(11, 22));
  });

  test('may stand beside JSON, and an output may choose for itself', async () => {
    const [body, headers] = binary(
      {
        inputs: [A, head('b')],
        outputs: [{ name: 'sum', parameters: { binary_data: false } }],
        parameters: { binary_data_output: true },
      },
      floats(10, 20),
    );
    expect((await infer('sum', body, headers)).json).toMatchObject({ outputs: [{ data: [11, 22] }] });
  });

  test('may change while the JSON before them stays the same, and their number of bytes may not', async () => {
    const json = { inputs: [head('a'), head('b')], outputs: [{ name: 'sum' }] };
    const answers = [];
    for (const each of [1, 2, 3]) answers.push(await infer('sum', ...binary(json, floats(each, 2), floats(10, 20))));
    expect(answers.map((answer) => answer.json)).toMatchObject(
      [11, 12, 13].map((sum) => ({ outputs: [{ data: [sum, 22] }] })),
    );
    const short = await infer('sum', ...binary(json, floats(1, 2), floats(10)));
    expect([short.code, short.json]).toMatchObject([400, { error: expect.stringContaining("input 'b'") }]);
  });

  test('are read alike whether they come with the head of their request, behind it, or byte by byte', async () => {
    const [body, headers] = binary({ inputs: [head('a'), head('b')] }, floats(3, 4), floats(10, 20));
    const text = Buffer.from(body).toString('latin1');
    const fields = { ...headers, 'content-length': body.byteLength, connection: 'close' };
    const start = rawHead('POST', '/v2/models/sum/infer', fields);
    for (const parts of [[start + text], [start, text], [start, ...text]]) {
      using connection = await RawConnection.open(fixture.server.httpPort);
      for (const part of parts) await new Promise((resolve) => connection.socket.write(part, 'latin1', resolve));
      expect([await connection.ended, ...connection.codes]).toEqual(['FIN', 200]);
      const [, json = ''] = connection.received.split('\r\n\r\n');
      expect(JSON.parse(json)).toMatchObject({ outputs: [{ data: [13, 24] }, { data: [-7, -16] }] });
    }
  });

  test('are texts too', async () => {
    const raw = Buffer.from(encodeBytesTensor(['a', 'bc', '', 'd'].map((text) => Buffer.from(text))));
    const input = { name: 'input', datatype: 'BYTES', shape: [1, 4], parameters: { binary_data_size: raw.byteLength } };
    const [body, headers] = binary({ inputs: [input] }, raw);
    expect((await infer('texts', body, headers)).json).toMatchObject({ outputs: [{ data: ['a', 'bc', '', 'd'] }] });
  });

  test('may be all there is, for a model of one input', async () => {
    const answer = await infer('longs', Buffer.from(new BigInt64Array([1n, 2n, 3n, 4n]).buffer), {
      [HEADER_LENGTH]: '0',
    });
    expect(answer.json).toMatchObject({ outputs: [{ shape: [1, 4], parameters: { binary_data_size: 32 } }] });
  });

  test.each([
    ['cut', [head('a'), head('b')], 12, "unexpected size for input 'b', expecting 4 additional bytes for model 'sum'"],
    ['too long', [head('a'), head('b')], 17, 'unexpected additional input data for model'],
    [
      'a size that is none',
      [{ ...A, data: undefined, parameters: { binary_data_size: -1 } }],
      8,
      "'binary_data_size' of input 'a' is -1",
    ],
  ])('are refused where they are %s', async (_, inputs, bytes, text) => {
    const [body, headers] = binary({ inputs }, new Uint8Array(bytes));
    expect(await infer('sum', body, headers)).toMatchObject({
      code: 400,
      json: { error: expect.stringContaining(text) },
    });
  });

  test.each(['x', '-1', '99999'])('are refused with the header length %s', async (length) => {
    const answer = await infer('sum', { inputs: [A, B] }, { [HEADER_LENGTH]: length });
    expect(answer).toMatchObject({ code: 400, json: { error: expect.stringContaining(HEADER_LENGTH) } });
  });
});

describe('what is wrong is reported by its field', () => {
  test.each<[what: string, model: string, body: object | string, code: number, text: string]>([
    ['no JSON', 'sum', '{nope}', 400, 'failed to parse the request JSON buffer'],
    ['an empty body', 'sum', '', 400, 'failed to parse the request JSON buffer'],
    ['an array', 'sum', [], 400, 'the request is an array, expected an object'],
    ['no inputs', 'sum', {}, 400, "'inputs' of the request is missing, expected an array"],
    [
      'a misspelt key',
      'sum',
      { input: [A, B] },
      400,
      "'inputs' of the request is missing, expected an array: it has 'input'",
    ],
    [
      'too many elements',
      'sum',
      { inputs: [{ ...A, data: [1, 2, 3] }, B] },
      400,
      "[1,2] holds 2 elements, 'data' has more",
    ],
    [
      'an input without a name',
      'sum',
      { inputs: [{ ...A, name: 1 }] },
      400,
      "'name' of inputs[0] is 1, expected a string",
    ],
    ['no datatype', 'sum', { inputs: [{ ...A, datatype: 'FLOAT' }, B] }, 400, "'datatype' of input 'a' is \"FLOAT\""],
    ['a size that is no number', 'sum', { inputs: [{ ...A, shape: [1, 'x'] }, B] }, 400, "'shape[1]' of input 'a'"],
    ['too few elements', 'sum', { inputs: [{ ...A, data: [1] }, B] }, 400, "[1,2] holds 2 elements, 'data' has 1"],
    [
      'an element of another kind',
      'sum',
      { inputs: [{ ...A, data: [1, 'x'] }, B] },
      400,
      'element 1 is "x", expected a number',
    ],
    [
      'a parameter that is a list',
      'sum',
      { inputs: [A, B], parameters: { x: [] } },
      400,
      "parameter 'x' of the request is an array",
    ],
    [
      'another shape than the model’s',
      'sum',
      { inputs: [{ ...A, shape: [1, 1], data: [1] }, B] },
      400,
      "unexpected shape for input 'a'",
    ],
    ['an unknown model', 'nope', { inputs: [A, B] }, 404, "Request for unknown model: 'nope' is not found"],
    ['a model that did not load', 'broken', { inputs: [] }, 503, "model 'broken'"],
  ])('%s', async (_, model, body, code, text) => {
    const answer = await infer(model, typeof body === 'string' ? Buffer.from(body) : body);
    expect(answer).toMatchObject({ code, json: { error: expect.stringContaining(text) } });
  });

  test('a body that is too long, as it comes and when it is unpacked', async () => {
    const long = { inputs: [{ ...A, data: Array.from({ length: MAX_BYTES }, () => 1) }] };
    expect(await infer('sum', long)).toMatchObject({
      code: 413,
      json: { error: expect.stringMatching(/maxJsonBytes/) },
    });
    const packed = gzipSync(Buffer.alloc(MAX_BYTES * 2));
    expect(await infer('sum', packed, { 'content-encoding': 'gzip' })).toMatchObject({ code: 413 });
  });

  test('an encoding that is not offered, and one that is not what it says', async () => {
    expect(await infer('sum', Buffer.from('x'), { 'content-encoding': 'br' })).toMatchObject({ code: 501 });
    expect(await infer('sum', Buffer.from('x'), { 'content-encoding': 'gzip' })).toMatchObject({ code: 400 });
  });

  test('a path or a method that there is not', async () => {
    expect(await call('/v2/zzz')).toMatchObject({ code: 404, json: { error: 'Not Found' } });
    expect(await call('/v2/models/sum/infer')).toMatchObject({ code: 405, json: { error: 'Method Not Allowed' } });
    expect(await call('/v2/models/%zz')).toMatchObject({ code: 400 });
  });
});

describe('what the server says of itself', () => {
  test('its name and extensions', async () => {
    expect((await call('/v2')).json).toMatchObject({
      name: 'tensorgate',
      extensions: expect.arrayContaining(['statistics']),
    });
  });

  test('its health: alive, and not ready while a model is not', async () => {
    expect(await call('/v2/health/live')).toMatchObject({ code: 200, json: { live: true } });
    expect(await call('/v2/health/ready')).toMatchObject({ code: 503, json: { ready: false } });
    expect(await call('/v2/models/sum/ready')).toMatchObject({ code: 200, json: { name: 'sum', ready: true } });
    const notReady = { code: 503, json: { ready: false, error: expect.stringContaining('Model version not ready') } };
    expect(await call('/v2/models/broken/ready')).toMatchObject(notReady);
    expect(await call('/v2/models/sum/versions/9/ready')).toMatchObject(notReady);
    expect(await call('/v2/models/nope/ready')).toMatchObject({ code: 404 });
  });

  test('a model’s inputs and outputs, and nothing of its insides', async () => {
    const spec = (name: string): object => ({ name, datatype: 'FP32', shape: [-1, 2] });
    expect((await call('/v2/models/sum')).json).toEqual({
      name: 'sum',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [spec('a'), spec('b')],
      outputs: [spec('sum'), spec('difference')],
    });
    expect(await call('/v2/models/sum/versions/9')).toMatchObject({ code: 404 });
  });

  test('its configuration', async () => {
    expect((await call('/v2/models/sum/config')).json).toMatchObject({ name: 'sum', max_batch_size: 8 });
  });

  test('its statistics, whose counts are numbers', async () => {
    await infer('whole', { inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] });
    const { json } = await call('/v2/models/whole/stats');
    expect(json).toMatchObject({
      model_stats: [{ name: 'whole', version: '1', inference_count: 1, inference_stats: { success: { count: 1 } } }],
    });
    expect((await call('/v2/models/stats')).json).toMatchObject({ model_stats: expect.any(Array) });
  });

  test('the repository', async () => {
    const { json } = await call('/v2/repository/index', { ready: true });
    expect(json).toContainEqual({ name: 'sum', version: '1', state: 'READY' });
    expect((json as { name: string }[]).map(({ name }) => name)).not.toContain('broken');
    expect((await call('/v2/repository/index', Buffer.alloc(0))).json).toContainEqual(
      expect.objectContaining({ name: 'broken', state: 'UNAVAILABLE', reason: expect.stringMatching(/./) }),
    );
  });

  test('its log and trace settings, which can be changed', async () => {
    expect((await call('/v2/logging')).json).toMatchObject({ log_info: false });
    expect((await call('/v2/logging', { log_verbose_level: 1 })).json).toMatchObject({ log_verbose_level: 1 });
    expect((await call('/v2/logging', { log_verbose_level: 0 })).json).toMatchObject({ log_verbose_level: 0 });
    expect(await call('/v2/logging', { log_info: 'yes' })).toMatchObject({ code: 400 });
    expect((await call('/v2/models/sum/trace/setting', { trace_rate: '7' })).json).toMatchObject({ trace_rate: '7' });
    expect((await call('/v2/models/sum/trace/setting', { trace_rate: null })).json).toMatchObject({ trace_rate: '1' });
    expect(await call('/v2/models/nope/trace/setting')).toMatchObject({ code: 404 });
    for (const wrong of [{}, [{}], [[1]], [null]]) {
      expect(await call('/v2/trace/setting', { trace_rate: wrong })).toMatchObject({ code: 400 });
    }
  });

  test('that it takes no shared memory', async () => {
    for (const kind of ['system', 'cuda']) {
      expect((await call(`/v2/${kind}sharedmemory/status`)).json).toEqual([]);
      expect(await call(`/v2/${kind}sharedmemory/region/r/status`)).toMatchObject({ code: 404 });
      expect(await call(`/v2/${kind}sharedmemory/unregister`, {})).toMatchObject({ code: 200 });
      expect(await call(`/v2/${kind}sharedmemory/region/r/register`, {})).toMatchObject({ code: 501 });
    }
  });

  test('all of its paths, in OpenAPI', async () => {
    const { json } = await call('/v2/openapi.json');
    const { paths } = json as { readonly paths: Readonly<Record<string, object>> };
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/v2', '/v2/models/{model}/infer', '/v2/models/{model}/versions/{version}/infer']),
    );
    const ids = Object.values(paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
    expect(new Set(ids).size).toBe(ids.length);
  });
});

/** Takes about a second. */
const LOOP = [
  { name: 'iterations', datatype: 'INT64', shape: [1, 1], data: [20_000] },
  { name: 'input', datatype: 'FP32', shape: [1, 1], data: [7] },
];

test('a body that is still coming when the deadline has passed is refused with 504', async () => {
  using repository = new Repository({ sum: SERVED.sum });
  await using server = await startServer(repository.directory, {
    flags: ['--log-level', 'error', '--default-deadline-ms', '1000'],
  });
  using connection = await RawConnection.open(server.httpPort);
  connection.send(rawHead('POST', '/v2/models/sum/infer', { 'content-length': 10_000_000 }));
  const sending = setInterval(() => connection.send(' '.repeat(10_000)), 50);
  expect(await connection.ended).toBe('FIN');
  clearInterval(sending);
  expect(connection.codes).toEqual([504]);
  expect(connection.received).toMatch(/^connection: close\r$/im);
  expect(connection.received).toContain('the deadline passed before the body had come whole');
});

describe('a server that ends', () => {
  test('answers what it accepted', async () => {
    using repository = new Repository({ loop: SERVED.loop });
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
    const pending = fetch(`${server.http}/v2/models/loop/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: LOOP }),
    });
    await expect
      .poll(async () => (await fetch(`${server.http}/metrics`)).text(), { timeout: 20_000 })
      .toMatch(/tensorgate_in_flight_requests[^\n]* 1/);
    await server.stop();
    expect((await pending).status).toBe(200);
  });
});

test('REST can be off', async () => {
  using repository = new Repository({ sum: SERVED.sum });
  await using server = await startServer(repository.directory, { flags: ['--log-level', 'error', '--rest', 'off'] });
  const response = await fetch(`${server.http}/v2`);
  expect([response.status, await response.text()]).toEqual([404, 'there is /livez, /readyz, /metrics\n']);
});

describe('a large request in JSON', () => {
  test('is answered, and gRPC beside it too', { timeout: 120_000 }, async () => {
    using repository = new Repository({ wide: oneInstance(identityModel('FP32', ['batch', 'n'])) });
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
    using client = new StockClient(server.grpc);
    const element = '0.1234567,';
    const count = Math.floor((60 * 2 ** 20) / element.length);
    const body = Buffer.concat([
      Buffer.from(`{"inputs":[{"name":"input","datatype":"FP32","shape":[1,${count}],"data":[`),
      Buffer.alloc(count * element.length - 1, element),
      Buffer.from(']}]}'),
    ]);
    let isAnswered = false;
    const pending = fetch(`${server.http}/v2/models/wide/infer`, { method: 'POST', body }).finally(() => {
      isAnswered = true;
    });
    let checks = 0;
    for (; !isAnswered; checks += 1) await client.call('ServerLive', {});
    const response = await pending;
    expect(response.status).toBe(200);
    // It is longer than the part that is made before an answer begins, and made while it is taken.
    expect(response.headers.get('content-length')).toBeNull();
    const text = Buffer.from(await response.arrayBuffer()).toString('latin1');
    expect(text.slice(0, 200)).toContain(`"shape":[1,${count}],"data":[0.1234567,0.1234567,`);
    expect(text.split('0.1234567')).toHaveLength(count + 1);
    expect(text.endsWith(',0.1234567]}]}')).toBe(true);
    // Some 400 turns of the event loop; one that is held for the whole body answers one or two.
    expect(checks).toBeGreaterThan(20);
  });
});
