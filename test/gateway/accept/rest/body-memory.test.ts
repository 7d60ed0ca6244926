/** The memory of a body goes as soon as it was read, or was refused: a flood of bodies would otherwise wait for full collections. */

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { tensor } from '../../../../src/client/inference-client.ts';
import { createTestServer, fakeModel, type TestServer } from '../../../../src/testing/test-server.ts';

const same = fakeModel({
  inputs: { x: { datatype: 'FP32', shape: [4] } },
  outputs: { y: { datatype: 'FP32', shape: [4] } },
  run: ({ x }) => ({ y: tensor.fp32(x.data, x.shape) }),
});

let server: TestServer;
beforeAll(async () => {
  server = await createTestServer({ models: { same } });
});
afterAll(() => server.close());

const ROOM = ' '.repeat(40_000);
const INFER = '/v2/models/same/infer';
const inputs = (data: string, name = 'x'): string =>
  `{"inputs":[{"name":"${name}","datatype":"FP32","shape":[4],"data":[${data}]}]${ROOM}}`;
const HEAD = `{"inputs":[{"name":"x","datatype":"FP32","shape":[4],"parameters":{"binary_data_size":16}}]${ROOM}}`;
const withHead = (length: number) => ({ 'inference-header-content-length': String(length) });

test.each([
  ['JSON that is taken', INFER, inputs('1,2,3,4'), {}, 200],
  ['JSON with an error at its end', INFER, `${inputs('1,2,3,4')},`, {}, 400],
  ['JSON with too few values', INFER, inputs('1,2,3'), {}, 400],
  ['JSON with an unknown input', INFER, inputs('1,2,3,4', 'z'), {}, 400],
  ['binary tensors behind a head that is no JSON', INFER, `{${ROOM}`, withHead(10), 400],
  ['fewer bytes than a head names', INFER, HEAD, withHead(HEAD.length), 400],
  ['a tensor and nothing else, of the wrong size', INFER, ROOM, withHead(0), 400],
  ['JSON of another path, with an error at its end', '/v1/embeddings', `{"model":"same","input":"${ROOM}"},`, {}, 400],
])('the memory of a body goes with its answer: %s', async (_, path, body, headers, code) => {
  const made: Buffer[] = [];
  const allocate = Buffer.allocUnsafeSlow;
  vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation((size) => {
    const buffer = allocate(size);
    if (size === body.length) made.push(buffer);
    return buffer;
  });
  const response = await fetch(`${server.httpAddress}${path}`, { method: 'POST', body, headers });
  expect(response.status).toBe(code);
  await response.arrayBuffer();
  vi.restoreAllMocks();
  expect(made).toHaveLength(1);
  expect(made[0]?.byteLength).toBe(0);
});
