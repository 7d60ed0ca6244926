import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Server } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answer, type Message, startFakeServer, toEcho, type UnaryHandler } from '../client/fake-server.ts';
import { type Ended, runCommandLine } from './command-line.ts';

const METADATA: Record<string, Message> = {
  // Labels what it sees, as a server with the classification extension does.
  classifier: {
    inputs: [{ name: 'image', datatype: 'UINT8', shape: [-1, 3, 2, 2] }],
    outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 2] }],
  },
  // Knows no extension.
  plain: {
    inputs: [{ name: 'image', datatype: 'UINT8', shape: [-1, 3, 2, 2] }],
    outputs: [
      { name: 'scores', datatype: 'FP32', shape: [-1, 2] },
      { name: 'features', datatype: 'FP32', shape: [-1, 3, 4] },
    ],
  },
  echo: {
    inputs: [
      { name: 'x', datatype: 'FP32', shape: [-1, 2] },
      { name: 'ids', datatype: 'INT64', shape: [-1] },
    ],
    outputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  },
};

const requests: Message[] = [];

const modelMetadata: UnaryHandler = ({ request }, reply) => {
  const metadata = METADATA[request['name']];
  if (metadata !== undefined)
    return reply(null, { name: request['name'], versions: ['1'], platform: 'p', ...metadata });
  reply({ code: status.NOT_FOUND, details: `Request for unknown model: '${request['name']}' is not found` });
};

const modelInfer: UnaryHandler = ({ request }, reply) => {
  requests.push(request);
  const { model_name, outputs, raw_input_contents } = request;
  if (model_name === 'classifier') {
    const count = outputs[0].parameters.classification.int64_param;
    const label = raw_input_contents[0][0] > 127 ? 'bright' : 'dark';
    const elements = [`0.750000:1:${label}`, '0.250000:0'].slice(0, count).map((element) => Buffer.from(element));
    const contents = { bytes_contents: elements };
    reply(null, { model_name, outputs: [{ name: outputs[0].name, datatype: 'BYTES', shape: [1, count], contents }] });
  } else if (model_name === 'plain') {
    const scores = { name: 'scores', datatype: 'FP32', shape: [1, 2], contents: { fp32_contents: [0.25, 0.75] } };
    const contents = { fp32_contents: Array(12).fill(1.5) };
    reply(null, { model_name, outputs: [scores, { name: 'features', datatype: 'FP32', shape: [1, 3, 4], contents }] });
  } else {
    reply(null, toEcho(request));
  }
};

let folder: string;
let server: Server;
let url: string;
let white: string;
let black: string;

beforeAll(async () => {
  ({ server, target: url } = await startFakeServer({
    ModelMetadata: modelMetadata,
    ModelInfer: modelInfer,
    ServerLive: answer({ live: true }),
  }));
  folder = await mkdtemp(join(tmpdir(), 'tensorgate-infer-'));
  [white, black] = await Promise.all([savePixels('white.png', 255), savePixels('black.png', 0)]);
});

afterAll(async () => {
  server.forceShutdown();
  await rm(folder, { recursive: true });
});

async function savePixels(name: string, value: number): Promise<string> {
  const file = join(folder, name);
  await sharp(new Uint8Array(2 * 2 * 3).fill(value), { raw: { width: 2, height: 2, channels: 3 } })
    .png()
    .toFile(file);
  return file;
}

async function saveFile(name: string, content: string | Uint8Array): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, content);
  return file;
}

const infer = (args: string[], options: { input?: string } = {}): Promise<Ended> =>
  runCommandLine(['infer', '--url', url, ...args], options);

const lines = (text: string): string[] => text.trimEnd().split('\n');

describe('infer --image', () => {
  test('prints a table of labels and values, in the order of the files', async () => {
    const { code, stdout, stderr } = await infer(['classifier', '--image', white, black, white]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines(stdout).map((line) => line.split(/\s{2,}/))).toEqual([
      ['image', 'label', 'probabilities'],
      [white, 'bright', '0.7500'],
      [black, 'dark', '0.7500'],
      [white, 'bright', '0.7500'],
    ]);
  });

  test('prints as many classes as --top says, by index where the server has no label', async () => {
    const { stdout } = await infer(['classifier', '--top', '2', '--image', white]);
    expect(lines(stdout)[2]?.split(/\s{2,}/)).toEqual([white, '0', '0.2500']);
  });

  test('prints plain values where the server does not classify', async () => {
    const { code, stdout } = await infer(['plain', '--image', white]);
    expect(code).toBe(0);
    expect(lines(stdout).map((line) => line.split(/\s{2,}/))).toEqual([
      ['image', 'output', 'label', 'value'],
      [white, 'scores', '0.25 0.75'],
      [white, 'features', '1.5 1.5 1.5 1.5 1.5 1.5 1.5 1.5 … (1x3x4)'],
    ]);
  });

  test('asks for a classification of only the scores, and for the requested outputs and version', async () => {
    requests.length = 0;
    await infer(['plain', '--image', white, '--version', '3']);
    await infer(['plain', '--image', white, '--output', 'features']);
    expect(requests.map(({ model_version, outputs }) => [model_version, outputs])).toEqual([
      [
        '3',
        [
          { name: 'scores', parameters: { classification: expect.objectContaining({ int64_param: 1 }) } },
          { name: 'features', parameters: {} },
        ],
      ],
      ['', [{ name: 'features', parameters: {} }]],
    ]);
  });

  test('prints a line of JSON per image with --json-output', async () => {
    const { stdout } = await infer(['classifier', '--json-output', '--image', white, black]);
    expect(lines(stdout).map((line) => JSON.parse(line))).toMatchObject([
      { image: white, model_name: 'classifier', outputs: [{ name: 'probabilities', data: ['0.750000:1:bright'] }] },
      { image: black, outputs: [{ data: ['0.750000:1:dark'] }] },
    ]);
  });

  test('names the file that is no image, answers the others, and exits 1', async () => {
    const text = await saveFile('text.png', 'no image');
    const { code, stdout, stderr } = await infer(['classifier', '--image', text, white]);
    expect(code).toBe(1);
    expect(lines(stdout)).toHaveLength(2);
    expect(stderr).toMatch(new RegExp(`^error: cannot read image '${text}': .+\n$`));
  });

  test.each([
    [['echo'], "error: model 'echo' takes x FP32[-1,2], ids INT64[-1], which no image fits"],
    [
      ['classifier', '--output', 'y'],
      "error: model 'classifier' has no output 'y'; it answers probabilities FP32[-1,2]",
    ],
    [['nosuch'], "error: Request for unknown model: 'nosuch' is not found (NOT_FOUND)\n"],
  ])('says in one line what does not fit: %j', async (args, text) => {
    const { code, stdout, stderr } = await infer([...args, '--image', white]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.startsWith(text)).toBe(true);
    expect(lines(stderr)).toHaveLength(1);
  });
});

describe('infer --json', () => {
  const body = { id: 'a', inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [0.1, 2] }] };

  test('sends a REST request from a file, and prints the answer in the same form', async () => {
    const { code, stdout } = await infer(['echo', '--json', await saveFile('r.json', JSON.stringify(body))]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      model_name: 'echo',
      model_version: '1',
      id: 'a',
      outputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [0.1, 2] }],
    });
  });

  test('reads stdin, and takes a bare mapping', async () => {
    const { stdout } = await infer(['echo', '--json', '-'], { input: '{"x": [[1, 2]], "ids": [9007199254740993]}' });
    expect(JSON.parse(stdout).outputs.map(({ shape }: Message) => shape)).toEqual([[1, 2], [1]]);
    expect(stdout).toContain('"data":[9007199254740993]');
  });

  test('says what is wrong with the text or the file', async () => {
    expect((await infer(['echo', '--json', '-'], { input: '{' })).stderr).toMatch(/^error: stdin is not JSON: .*\n$/);
    const missing = await infer(['echo', '--json', join(folder, 'none.json')]);
    expect(missing.stderr).toMatch(/^error: cannot read '.*none.json': ENOENT.*\n$/);
    expect(missing.code).toBe(1);
  });
});

describe('infer --raw', () => {
  test('sends bytes as they are, with the shape of the model', async () => {
    const x = await saveFile('x.bin', new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer));
    const { code, stdout } = await infer(['echo', '--raw', `x=${x}`]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).outputs).toEqual([{ name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] }]);
  });

  test('sends the shape that was given', async () => {
    const x = await saveFile('y.bin', new Uint8Array(8));
    const { stdout } = await infer(['echo', '--raw', `x=${x}`, '--shape', 'x=1,1,2']);
    expect(JSON.parse(stdout).outputs[0].shape).toEqual([1, 1, 2]);
  });

  test('says what does not fit', async () => {
    const x = await saveFile('z.bin', new Uint8Array(12));
    expect((await infer(['echo', '--raw', `x=${x}`])).stderr).toBe(
      'error: 3 elements do not fill input x FP32[-1,2]\n',
    );
    expect((await infer(['echo', '--raw', `z=${x}`])).stderr).toMatch(/^error: model 'echo' has no input 'z'/);
    expect((await infer(['echo', '--raw', `x=${x}`, '--shape', 'x=2,2'])).stderr).toMatch(
      /does not hold 3 elements\n$/,
    );
  });
});
