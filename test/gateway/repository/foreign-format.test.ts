import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { modelFileProblem } from '../../../src/gateway/repository/model-file.ts';
import { openRepository } from '../../../src/gateway/repository/opened-repository.ts';
import { zip } from '../../support/npz.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const EXPORT = fs.readFileSync(path.join(import.meta.dirname, '../../../docs/export.md'), 'utf8');
const ANCHORS = EXPORT.split('\n')
  .filter((line) => line.startsWith('#'))
  .map((line) =>
    line
      .replace(/^#+ /, '')
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-'),
  );

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Bytes that show nothing, as the fields of a foreign protobuf message. */
const OPAQUE = Buffer.from([0x08, 0x01, 0x12, 0x03, 0x61, 0x62, 0x63]);

const FILES: readonly { name: string; bytes: Buffer; what: string }[] = [
  { name: 'm.tflite', bytes: latin1('\x1c\0\0\0TFL3\x14\0'), what: 'a TensorFlow Lite model' },
  { name: 'saved_model.pb', bytes: OPAQUE, what: 'the graph of a TensorFlow SavedModel' },
  { name: 'frozen.pb', bytes: OPAQUE, what: 'a graph of TensorFlow' },
  { name: 'm.h5', bytes: latin1('\x89HDF\r\n\x1a\n'), what: 'an HDF5 file' },
  { name: 'm.keras', bytes: zip({ 'config.json': Buffer.of(1) }), what: 'a model of Keras' },
  { name: 'm.pt', bytes: zip({ 'data.pkl': Buffer.of(1) }), what: 'a checkpoint of PyTorch' },
  { name: 'pytorch_model.bin', bytes: zip({ 'data.pkl': Buffer.of(1) }), what: 'a checkpoint of PyTorch' },
  { name: 'checkpoint', bytes: zip({ 'data.pkl': Buffer.of(1) }), what: 'a zip archive, as PyTorch saves' },
  { name: 'm.pkl', bytes: latin1('\x80\x04\x95\x10\0\0\0'), what: 'a pickle of Python' },
  { name: 'm.joblib', bytes: OPAQUE, what: 'a pickle of Python' },
  { name: 'm.safetensors', bytes: latin1('\x40\0\0\0\0\0\0\0{"weight":{}}'), what: 'a safetensors file' },
  { name: 'm.gguf', bytes: latin1('GGUF\x03\0\0\0'), what: 'a GGUF file' },
  { name: 'm.engine', bytes: latin1('ftrt\0\0\0\0'), what: 'an engine of TensorRT' },
  { name: 'm.plan', bytes: Buffer.from([0xff, 0, 0xff, 0]), what: 'an engine of TensorRT' },
  { name: 'm.json', bytes: latin1('{"learner":{"attributes":{}}}'), what: 'a model of XGBoost' },
  { name: 'm.ubj', bytes: latin1('{L\0\0\0\0\0\0\0\x07learner{'), what: 'a model of XGBoost' },
  { name: 'm.txt', bytes: latin1('tree\nversion=v4\n'), what: 'a model of LightGBM' },
];

describe.each(FILES)('$name', ({ name, bytes, what }) => {
  test('given as a model says what it is, and where its export is described', async () => {
    const file = path.join(temporaryDirectory(), name);
    fs.writeFileSync(file, bytes);
    const problem = await modelFileProblem(file);
    expect(problem).toContain(`${file} is ${what}`);
    const anchor = /\(docs\/export\.md#(?<anchor>[a-z0-9-]+)\)$/.exec(problem ?? '')?.groups?.['anchor'];
    expect(ANCHORS).toContain(anchor);
  });
});

test.each(['saved_model.pb', 'model.safetensors', 'pytorch_model.bin', 'model.plan'])(
  'a folder with %s and without an ONNX file is refused, with what it holds',
  async (name) => {
    const directory = temporaryDirectory();
    fs.writeFileSync(path.join(directory, 'config.json'), '{}');
    fs.writeFileSync(path.join(directory, name), OPAQUE);
    // Besides the model of a SavedModel.
    if (name.endsWith('.pb')) fs.writeFileSync(path.join(directory, 'fingerprint.pb'), OPAQUE);
    await expect(openRepository(directory)).rejects.toThrow(
      new RegExp(`^'${directory}' holds no ONNX file: \\S+${name} is .*docs/export\\.md#`),
    );
  },
);

test('a file above the limit of protobuf is refused with the limit and the remedy', async () => {
  const file = path.join(temporaryDirectory(), 'model.onnx');
  fs.writeFileSync(file, OPAQUE);
  // Takes no room on the disk.
  fs.truncateSync(file, 2 ** 31);
  expect(await modelFileProblem(file)).toBe(
    `${file} has 2147483648 bytes, and an ONNX file has less than 2 GiB, because it is one protobuf message: export the weights as external data beside it (docs/export.md#large-models)`,
  );
});
