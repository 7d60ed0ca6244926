/** Requests of megabytes, whose memory is used again as soon as they are answered: each gets its own bytes back. */

import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { encodedRequest } from '../../bench/requests.ts';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { readMetrics } from '../faults/observation.ts';
import { grpcMessage } from '../http2/raw-frames.ts';
import { bytesOf } from '../support/bytes-of.ts';
import { untilNothingLanded } from '../support/landed-memory.ts';
import { identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';

const COLUMNS = 150_528;
const AT_ONCE = 12;
const ROUNDS = 4;

const identity = identityModel('FP32', ['batch', COLUMNS]);
const one = { instance_group: [{ count: 1 }] };
const step = (input: string, output: string) => ({
  model_name: 'plain',
  input_map: { input },
  output_map: { output },
});

const fixture = useServer(
  {
    plain: { versions: { 1: identity }, config: one },
    cached: {
      versions: { 1: identity },
      // Room for all that is asked here.
      config: { ...one, response_cache: { enable: true }, tensorgate: { max_cache_bytes: 256 * 1024 * 1024 } },
    },
    shadowed: {
      versions: { 1: identity, 2: identity },
      config: { ...one, tensorgate: { traffic: { shadow: { version: 2 } } } },
    },
    longs: { versions: { 1: identityModel('INT64', ['n']) }, config: { ...one, max_batch_size: 0 } },
    texts: { versions: { 1: identityModel('BYTES', ['n']) }, config: { ...one, max_batch_size: 0 } },
    twice: {
      versions: { 1: undefined },
      config: {
        platform: 'ensemble',
        max_batch_size: 8,
        input: [{ name: 'first', data_type: 'TYPE_FP32', dims: [COLUMNS] }],
        output: [{ name: 'last', data_type: 'TYPE_FP32', dims: [COLUMNS] }],
        ensemble_scheduling: { step: [step('first', 'between'), step('between', 'last')] },
      },
    },
  },
  { flags: ['--log-level', 'error'] },
);

/** A row, or several, that no other equals in any place. */
function rowOf(seed: number, length = COLUMNS): Float32Array {
  return Float32Array.from({ length }, (_, index) => seed * 1_000_000 + (index % 1_000_000));
}

/** A ModelInfer over a bare session of HTTP/2, whose answer stays where it is until it is read. */
function askOver(session: http2.ClientHttp2Session, row: Float32Array): http2.ClientHttp2Stream {
  const path = '/inference.GRPCInferenceService/ModelInfer';
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const message = encodedRequest('plain', 'input', 'FP32', { shape: [1, COLUMNS], data: bytesOf(row) });
  stream.end(grpcMessage(message));
  return stream;
}

/** A binary request over REST, whose answer stays in its socket until it is read. */
async function askRest(rows: Float32Array): Promise<IncomingMessage> {
  const url = `${fixture.server.http}/v2/models/plain/infer`;
  const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': '0' };
  const request = http.request(url, { method: 'POST', headers, agent: false });
  request.end(bytesOf(rows));
  const [response] = await once(request, 'response');
  return response;
}

/** Asks with the rows `from` and following, all at once, and compares each answer with its request. */
async function expectOwnRows(
  model: string,
  from: number,
  { count = AT_ONCE, input = 'input', output = 'output' } = {},
) {
  using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  const rows = Array.from({ length: count }, (_, index) => rowOf((from + index) % 16));
  const answers = await Promise.all(
    rows.map((row) => client.infer(model, { [input]: tensor.fp32(row, [1, COLUMNS]) })),
  );
  for (const [index, answer] of answers.entries()) {
    const { data } = answer.output(output, 'FP32');
    expect(Buffer.compare(bytesOf(data), bytesOf(rows[index] ?? new Float32Array()))).toBe(0);
  }
}

afterAll(() => untilNothingLanded(fixture.server.pid));

test('requests in shared batches get their own rows', async () => {
  for (let round = 0; round < ROUNDS; round++) await expectOwnRows('plain', round * 5);
});

test('requests of a stream get their own rows', async () => {
  const stream = fixture.client.open('ModelStreamInfer');
  const rows = Array.from({ length: AT_ONCE }, (_, index) => bytesOf(rowOf(index)));
  for (const row of rows) {
    stream.send({
      model_name: 'plain',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, COLUMNS] }],
      raw_input_contents: [row],
    });
  }
  for (const row of rows) {
    const answer = await stream.next();
    expect(Buffer.compare(answer?.['infer_response'].raw_output_contents[0], row)).toBe(0);
  }
  stream.halfClose();
});

test('the steps of an ensemble answer requests with their own rows', async () => {
  const names = { input: 'first', output: 'last' };
  for (let round = 0; round < ROUNDS; round++) await expectOwnRows('twice', round * 5, names);
});

test('answers from the response cache belong to their own requests', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    await expectOwnRows('cached', round * 4);
    await expectOwnRows('plain', round * 3);
  }
  const metrics = await readMetrics(fixture.server);
  expect(metrics('tensorgate_cache_requests_total', { model: 'cached', version: '1', outcome: 'miss' })).toBe(16);
});

describe('an answer that its client reads late keeps its bytes while other batches run', () => {
  test('over gRPC', async () => {
    const session = http2.connect(`http://${fixture.server.grpc}`);
    const rows = Array.from({ length: 4 }, (_, index) => rowOf(20 + index));
    const late = rows.map((row) => askOver(session, row));
    await Promise.all(late.map((answer) => once(answer, 'response')));
    for (let round = 0; round < ROUNDS; round++) await expectOwnRows('plain', round * 5);
    for (const [index, answer] of late.entries()) await expectTensor(answer, rows[index]);
    session.close();
  });

  test('over REST', async () => {
    // More than two sockets hold: the rest waits in the server.
    const tensors = Array.from({ length: 8 }, (_, index) => rowOf(20 + index, 16 * COLUMNS));
    const late = await Promise.all(tensors.slice(0, 4).map(askRest));
    for (const tensor of tensors.slice(4)) await expectTensor(await askRest(tensor), tensor);
    for (const [index, answer] of late.entries()) await expectTensor(answer, tensors[index]);
  });

  async function expectTensor(
    answer: http2.ClientHttp2Stream | IncomingMessage,
    tensor: Float32Array = new Float32Array(),
  ): Promise<void> {
    const body = Buffer.concat(await answer.toArray());
    expect(Buffer.compare(body.subarray(-tensor.byteLength), bytesOf(tensor))).toBe(0);
  }
});

test('copies for a shadow hold the whole request', async () => {
  // Less than would make a server busy, which sheds copies.
  for (let round = 0; round < 8; round++) {
    await expectOwnRows('shadowed', round, { count: 1 });
    await expectOwnRows('plain', round, { count: 1 });
  }
  const pair = { model: 'shadowed', primary: '1', shadow: '2' };
  const compared = async (result: string): Promise<number> =>
    (await readMetrics(fixture.server))('tensorgate_shadow_comparisons_total', { ...pair, result });
  await vi.waitUntil(async () => (await compared('equal')) + (await compared('different')) >= 4, { timeout: 20_000 });
  expect(await compared('different')).toBe(0);
});

describe('hundreds of thousands of elements, which are read and written in slices, come back as they were', () => {
  const longs = BigInt64Array.from(
    { length: 300_000 },
    (_, index) => BigInt(index * index) * (index % 2 === 0 ? 1n : -1n),
  );
  const texts = Array.from({ length: 60_000 }, (_, index) => `text ${index} ${'ü'.repeat(index % 7)}`);
  const inputs = [
    { name: 'input', datatype: 'INT64', shape: [longs.length], contents: { int64_contents: [...longs].map(String) } },
  ];

  test('typed contents over gRPC', async () => {
    const answer = await fixture.client.infer({ model_name: 'longs', inputs });
    expect(answer['outputs'][0].contents.int64_contents.map(BigInt)).toEqual([...longs]);
  });

  test('typed contents over a stream', async () => {
    const stream = fixture.client.open('ModelStreamInfer');
    stream.send({ model_name: 'longs', inputs });
    const answer = await stream.next();
    stream.halfClose();
    expect(answer?.['infer_response'].outputs[0].contents.int64_contents.map(BigInt)).toEqual([...longs]);
  });

  test('raw texts over gRPC', async () => {
    using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
    const result = await client.infer('texts', { input: tensor.bytes(texts, [texts.length]) });
    const answered = result.output('output', 'BYTES').data.map((text) => Buffer.from(text).toString());
    expect(answered).toEqual(texts);
  });

  test('binary texts over REST', async () => {
    const raw = encodeBytesTensor(texts.map((text) => Buffer.from(text)));
    const head = Buffer.from(
      JSON.stringify({
        inputs: [
          { name: 'input', datatype: 'BYTES', shape: [texts.length], parameters: { binary_data_size: raw.byteLength } },
        ],
      }),
    );
    const response = await fetch(`${fixture.server.http}/v2/models/texts/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(head.byteLength) },
      body: Buffer.concat([head, raw]),
    });
    const answer = (await response.json()) as { outputs: { data: string[] }[] };
    expect(answer.outputs[0]?.data).toEqual(texts);
  });
});
