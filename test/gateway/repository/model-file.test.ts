import fs from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explainLoadFailure, modelFileProblem } from '../../../src/gateway/repository/model-file.ts';
import { floatRows, npy, zip } from '../../support/npz.ts';
import { mlpModel, withExternalData } from '../../support/onnx-models.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { withoutRoot } from '../../support/without-root.ts';

const MODEL = Buffer.from(mlpModel());
const LFS = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 12345\n`;

async function problemOf(bytes: Uint8Array | string): Promise<string | undefined> {
  const file = path.join(temporaryDirectory(), 'model.onnx');
  fs.writeFileSync(file, bytes);
  return (await modelFileProblem(file))?.replaceAll(file, 'it');
}

function tarOf(content: string): Buffer {
  const header = Buffer.alloc(512);
  header.write('model.onnx');
  header.write('ustar', 257);
  return Buffer.concat([header, Buffer.from(content)]);
}

function safetensors(): Buffer {
  const header = Buffer.from(JSON.stringify({ weight: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.byteLength));
  return Buffer.concat([length, header, Buffer.alloc(4)]);
}

describe('a model file', () => {
  test('that may be an ONNX model has no problem', async () => {
    expect(await problemOf(MODEL)).toBeUndefined();
  });

  test.each<{ what: string; bytes: Uint8Array | string; problem: RegExp }>([
    { what: 'a Git LFS pointer', bytes: LFS, problem: /^it is a Git LFS pointer, .*: run git lfs pull/ },
    {
      what: 'a login page',
      bytes: '\n<!DOCTYPE html>\n<html><head><title>Sign in</title>',
      problem: /^it is an HTML page, such as a login or error page/,
    },
    { what: 'a page with a byte order mark', bytes: '\ufeff<html lang="en">', problem: /^it is an HTML page/ },
    { what: 'an answer of an object store', bytes: '<?xml version="1.0"?><Error/>', problem: /^it is an XML file/ },
    { what: 'nothing', bytes: '', problem: /^it is empty: copy or download it again: curl -fL -o it URL$/ },
    { what: 'a text', bytes: '404: Not Found', problem: /^it is a text file that begins with "404: Not Found"/ },
    { what: 'a text of many bytes in UTF-8', bytes: 'ä'.repeat(1_000), problem: /^it is a text file/ },
    { what: 'JSON', bytes: '{"error":"denied"}', problem: /^it is a text file that begins with "\{/ },
    { what: 'a checkpoint of PyTorch', bytes: zip({ 'data.pkl': Buffer.of(1) }), problem: /^it is a zip archive/ },
    { what: 'a compressed model', bytes: gzipSync(MODEL), problem: /^it is compressed with gzip: unpack it$/ },
    { what: 'an archive', bytes: tarOf('x'.repeat(600)), problem: /^it is a tar archive: unpack it$/ },
    { what: 'weights', bytes: safetensors(), problem: /^it is a safetensors file, which has weights and no graph/ },
    { what: 'a pickle', bytes: Buffer.from('\x80\x04\x95\x10\0\0\0', 'latin1'), problem: /^it is a pickle of Python/ },
    {
      what: 'a model of TensorFlow Lite',
      bytes: Buffer.from('\x1c\0\0\0TFL3\x14\0', 'latin1'),
      problem: /^it is a TensorFlow Lite model/,
    },
    { what: 'a model of Keras', bytes: Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), problem: /^it is an HDF5 file/ },
    { what: 'a GGUF file', bytes: 'GGUF\x03\0\0\0', problem: /^it is a GGUF file/ },
    { what: 'an array', bytes: npy(floatRows([[1]])), problem: /^it is an array of numpy/ },
    {
      what: 'a frozen graph of TensorFlow, whose first field is a node',
      bytes: Buffer.from([0x0a, 0x05, 0x0a, 0x03, 0x61, 0x62, 0x63]),
      problem: /^it is not an ONNX model: it has no graph of ONNX/,
    },
    { what: 'random bytes', bytes: Buffer.from('ff00ff00ff00ff', 'hex'), problem: /^it is not an ONNX model/ },
  ])('that is $what says so', async ({ bytes, problem }) => {
    expect(await problemOf(bytes)).toMatch(problem);
  });

  test('that is cut off anywhere after its head has a problem', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 16, max: MODEL.byteLength - 8 }), async (length) => {
        expect(await problemOf(MODEL.subarray(0, length))).toMatch(
          new RegExp(`^it is cut off: it has ${length} bytes, .*: copy or download it again: curl -fL -o it URL$`),
        );
      }),
      { numRuns: 50 },
    );
  });

  test('with any bytes is answered, and nothing else happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(MODEL.byteLength), async (bytes, at) => {
        const changed = Buffer.concat([MODEL.subarray(0, at), bytes, MODEL.subarray(at)]);
        expect(['string', 'undefined']).toContain(typeof (await problemOf(changed)));
        expect(['string', 'undefined']).toContain(typeof (await problemOf(bytes)));
      }),
    );
  });

  test('that is not there is looked for under other names', async () => {
    const directory = temporaryDirectory();
    const file = path.join(directory, 'model.onnx');
    expect(await modelFileProblem(file)).toBe(`${file} does not exist`);
    fs.writeFileSync(path.join(directory, 'model.pt'), 'x');
    expect(await modelFileProblem(file)).toBe(
      `${file} does not exist; 'model.pt' is a checkpoint of PyTorch: export the model to ONNX (docs/export.md#pytorch)`,
    );
    fs.writeFileSync(path.join(directory, 'resnet50.onnx'), MODEL);
    expect(await modelFileProblem(file)).toBe(
      `${file} does not exist, but 'resnet50.onnx' does: rename it to 'model.onnx', or set default_model_filename: "resnet50.onnx"`,
    );
    expect(await modelFileProblem(directory)).toBe(`${directory} is a directory, expected an ONNX file`);
  });

  test.each([0, 0o444])('in a directory of mode %o is not said to be absent', async (mode) => {
    const root = temporaryDirectory();
    fs.chmodSync(root, 0o755);
    const directory = path.join(root, '1');
    fs.mkdirSync(directory);
    const file = path.join(directory, 'model.onnx');
    fs.writeFileSync(file, MODEL);
    fs.chmodSync(directory, mode);
    expect(await withoutRoot(() => modelFileProblem(file))).toBe(
      `${file} cannot be seen: check the permissions of its directory`,
    );
  });

  test.each(['/nowhere/model.onnx', 'model.onnx'])('that is a link to %s is no file to rename', async (target) => {
    const file = path.join(temporaryDirectory(), 'model.onnx');
    fs.symlinkSync(target, file);
    expect(await modelFileProblem(file)).toMatch(/^\S+model\.onnx is a link that leads to no file: copy the file/);
  });
});

test('a page in place of external weights is found, however long, since it would be taken for weights', async () => {
  const directory = temporaryDirectory();
  const file = path.join(directory, 'model.onnx');
  fs.writeFileSync(file, withExternalData(mlpModel(), 'W1', 'weights.bin'));
  fs.writeFileSync(path.join(directory, 'weights.bin'), Buffer.alloc(100_000, 1));
  fs.writeFileSync(path.join(directory, 'card.html'), '<html></html>');
  expect(await modelFileProblem(file)).toBeUndefined();
  expect(await explainLoadFailure(file, 'out of bounds')).toBe('out of bounds');
  fs.writeFileSync(path.join(directory, 'weights.bin'), `<!doctype html>${' '.repeat(100_000)}`);
  expect(await modelFileProblem(file)).toMatch(/weights\.bin is an HTML page/);
  expect(await explainLoadFailure(file, 'out of bounds')).toMatch(/^out of bounds; \S+weights\.bin is an HTML page/);
});

test('a failed load names the pointers that lie in place of external weights', async () => {
  const directory = temporaryDirectory();
  const file = path.join(directory, 'model.onnx');
  fs.writeFileSync(file, withExternalData(mlpModel(), 'W1', 'weights.bin'));
  expect(await explainLoadFailure(file, 'out of bounds')).toBe('out of bounds');
  fs.writeFileSync(path.join(directory, 'weights.bin'), LFS);
  expect(await modelFileProblem(file)).toMatch(/^\S+weights\.bin is a Git LFS pointer/);
  expect(await explainLoadFailure(file, 'out of bounds')).toMatch(
    /^out of bounds; \S+weights\.bin is a Git LFS pointer, not the model itself: run git lfs pull/,
  );
});
