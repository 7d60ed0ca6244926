/** grpcurl, which knows the server only through reflection. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type TestServer } from '../support/server.ts';
import { grpcurl } from '../tools/tools.ts';
import { documented, runDocumented } from './documented.ts';

const program = grpcurl();
if (program === undefined) console.warn('SKIPPED: grpcurl is not installed (test/tools/setup.sh does)');

const MODELS = fileURLToPath(new URL('../../models', import.meta.url));
const CAT = new URL('../../examples/cifar10/images/cat-0823.png', import.meta.url);
const SERVICE = 'inference.GRPCInferenceService';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe.skipIf(program === undefined)('grpcurl', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
  });

  afterAll(() => server.stop());

  /** @param request is sent as JSON; without it, nothing is called. */
  async function run(args: readonly string[], request?: object): Promise<Ended> {
    const data = request === undefined ? [] : ['-d', '@'];
    const child = spawn(program ?? '', ['-plaintext', ...data, server.grpc, ...args]);
    child.stdin.end(JSON.stringify(request ?? {}));
    const closed = once(child, 'close');
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
    return { code, stdout, stderr };
  }

  async function call(method: string, request: object = {}): Promise<unknown> {
    const { code, stdout, stderr } = await run([method], request);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout);
  }

  test('lists the services and their methods', async () => {
    const services = (await run(['list'])).stdout.trim().split('\n');
    expect(services).toEqual(expect.arrayContaining([SERVICE, 'grpc.health.v1.Health']));
    const methods = (await run(['list', SERVICE])).stdout.trim().split('\n');
    expect(methods).toEqual(expect.arrayContaining([`${SERVICE}.ModelInfer`, `${SERVICE}.ModelStreamInfer`]));
  });

  test.each([
    ['inference.ModelInferRequest', 'map<string, .inference.InferParameter> parameters = 4;'],
    ['inference.ModelConfig', 'map<string, .inference.ModelParameter> parameters = 14;'],
    [
      SERVICE,
      'rpc ModelStreamInfer ( stream .inference.ModelInferRequest ) returns ( stream .inference.ModelStreamInferResponse );',
    ],
    ['grpc.health.v1.Health', 'rpc List'],
  ])('describes %s', async (symbol, part) => {
    const { code, stdout, stderr } = await run(['describe', symbol]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(part);
  });

  test('asks whether the server is live and ready, and how healthy it is', async () => {
    expect(await call(`${SERVICE}/ServerLive`)).toEqual({ live: true });
    expect(await call(`${SERVICE}/ServerReady`)).toEqual({ ready: true });
    expect(await call('grpc.health.v1.Health/Check', { service: 'cifar10' })).toEqual({ status: 'SERVING' });
  });

  test('reads what a model takes and gives', async () => {
    expect(await call(`${SERVICE}/ModelMetadata`, { name: 'cifar10' })).toEqual({
      name: 'cifar10',
      versions: ['1', '2'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'image', datatype: 'UINT8', shape: ['-1', '3', '32', '32'] }],
      outputs: [{ name: 'probabilities', datatype: 'FP32', shape: ['-1', '10'] }],
    });
  });

  test('sends an image as numbers, and reads numbers', async () => {
    const request = { model_name: 'cifar10', id: 'g1', inputs: [{ ...(await imageInput()) }] };
    const response = await call(`${SERVICE}/ModelInfer`, request);
    expect(response).toMatchObject({
      modelName: 'cifar10',
      modelVersion: '2',
      id: 'g1',
      outputs: [{ name: 'probabilities', datatype: 'FP32', shape: ['1', '10'] }],
    });
    const [output] = (response as { outputs: { contents: { fp32Contents: number[] } }[] }).outputs;
    const probabilities = output?.contents.fp32Contents ?? [];
    expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 4);
    const labels = fs.readFileSync(`${MODELS}/cifar10/labels.txt`, 'utf8').split('\n');
    expect(labels[probabilities.indexOf(Math.max(...probabilities))]).toBe('cat');
  });

  test('sends map entries, and reads texts as base64', async () => {
    const outputs = [{ name: 'probabilities', parameters: { classification: { int64_param: 1 } } }];
    const response = await call(`${SERVICE}/ModelInfer`, {
      model_name: 'cifar10',
      inputs: [await imageInput()],
      outputs,
    });
    const [output] = (response as { outputs: { contents: { bytesContents: string[] } }[] }).outputs;
    expect(Buffer.from(output?.contents.bytesContents[0] ?? '', 'base64').toString()).toMatch(/^0\.\d{6}:3:cat$/);
  });

  test('streams', async () => {
    const { stdout, code } = await run([`${SERVICE}/ModelStreamInfer`], {
      model_name: 'cifar10',
      id: 's',
      inputs: [await imageInput()],
    });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      inferResponse: { id: 's', parameters: { triton_final_response: { boolParam: true } } },
    });
  });

  test('runs the command of docs/clients.md', async () => {
    const [command = ''] = documented('grpcurl', 'sh');
    const { code, stdout, stderr } = await runDocumented(server, command, [program ?? '']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    // Raw contents are answered with such.
    const { rawOutputContents } = JSON.parse(stdout);
    expect(Buffer.from(rawOutputContents[0], 'base64')).toHaveLength(10 * 4);
  });

  test('reads the code and the text of a failure', async () => {
    const { code, stderr } = await run([`${SERVICE}/ModelInfer`], { model_name: 'nope' });
    expect(code).toBe(64 + 5);
    expect(stderr).toMatch(/Code: NotFound\s+Message: Request for unknown model: 'nope' is not found/);
  });
});

/** The image in typed contents, channels first. */
async function imageInput(): Promise<object> {
  const { data } = await sharp(fileURLToPath(CAT)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const planes = [0, 1, 2].flatMap((channel) =>
    Array.from({ length: 32 * 32 }, (_, pixel) => data[pixel * 3 + channel]),
  );
  return { name: 'image', datatype: 'UINT8', shape: [1, 3, 32, 32], contents: { uint_contents: planes } };
}
