import fs from 'node:fs';
import path from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { GraphProtoSchema, OperatorSetIdProtoSchema, TensorProto_DataLocation } from '../../src/onnx/onnx_pb.ts';
import { fieldHead } from '../../src/onnx/protobuf-field.ts';
import { Mailbox } from '../../src/worker/mailbox.ts';
import { load, unload } from '../../src/worker/model-instance.ts';
import { readModelSource } from '../../src/worker/model-source.ts';
import { ElementType, exportedModel, value, zipMapModel } from '../support/exported-models.ts';
import { mlpModel } from '../support/onnx-models.ts';
import { modelFile, sessionSpec } from '../support/runners.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('a model that can be opened as it is keeps its path, so that external weights are mapped', async () => {
  const file = modelFile(mlpModel());
  expect(await readModelSource(file, {})).toEqual({ model: file });
});

test('a file that is not there is left to ONNX Runtime', async () => {
  expect(await readModelSource('/no/such/model.onnx', {})).toEqual({ model: '/no/such/model.onnx' });
});

test('a rewritten model is in memory', async () => {
  const { model, rewritten } = await readModelSource(modelFile(zipMapModel()), {});
  expect(model).toHaveLength(rewritten?.byteLength ?? -1);
});

/** A model of BF16 whose file has exactly so many bytes: almost all of them are a hole, which takes no disk. */
function hugeModelFile(size: number): string {
  const graph = create(GraphProtoSchema, {
    name: 'huge',
    node: [{ opType: 'Identity', input: ['x'], output: ['y'] }],
    input: [value('x', ElementType.BFLOAT16, ['n'])],
    output: [value('y', ElementType.BFLOAT16, ['n'])],
  });
  const small = toBinary(GraphProtoSchema, graph);
  const opset = toBinary(OperatorSetIdProtoSchema, create(OperatorSetIdProtoSchema, { version: 17n }));
  const head = Buffer.concat([Uint8Array.of(8, 8), fieldHead(8, opset.byteLength), opset]);
  // A name, and raw data to the end of the file: each length has five bytes.
  const name = Buffer.concat([fieldHead(8, 1), Buffer.from('w')]);
  const heads = 6 + 6 + 6;
  const rawBytes = size - head.byteLength - small.byteLength - name.byteLength - heads;
  const initializer = Buffer.concat([name, fieldHead(9, rawBytes)]);
  const graphBytes = small.byteLength + 6 + initializer.byteLength + rawBytes;
  const file = path.join(temporaryDirectory(), 'model.onnx');
  fs.writeFileSync(
    file,
    Buffer.concat([
      head,
      fieldHead(7, graphBytes),
      small,
      fieldHead(5, initializer.byteLength + rawBytes),
      initializer,
    ]),
  );
  fs.truncateSync(file, size);
  return file;
}

test('a model that would pass 2 GiB with its changes is refused before its weights are read', async () => {
  await expect(readModelSource(hugeModelFile(2 ** 31 - 1), {})).rejects.toThrow(
    /model\.onnx would have 21\d{8} bytes with the changes that serving it takes, and an ONNX file has at most 2 GiB: save its weights as external data/,
  );
});

describe('external weights of a rewritten model', () => {
  afterEach(unload);

  const modelWith = (location: string): Uint8Array =>
    exportedModel({
      inputs: [value('x', ElementType.BFLOAT16, ['n', 3])],
      outputs: [value('y', ElementType.FLOAT, ['n', 3])],
      nodes: [
        { opType: 'Cast', input: ['x'], output: ['wide'], attribute: [{ name: 'to', type: 2, i: 1n }] },
        { opType: 'Add', input: ['wide', 'w'], output: ['y'] },
      ],
      initializers: [
        {
          name: 'w',
          dataType: ElementType.FLOAT,
          dims: [3n],
          dataLocation: TensorProto_DataLocation.EXTERNAL,
          externalData: [{ key: 'location', value: location }],
        },
      ],
    });

  const open = (file: string) => {
    const box = Mailbox.create(temporaryDirectory());
    onTestFinished(() => box.close());
    return load({ mailboxPath: box.path, spec: sessionSpec(file) });
  };

  test('are found beside its file', async () => {
    const file = modelFile(modelWith('w.bin'));
    fs.writeFileSync(path.join(path.dirname(file), 'w.bin'), new Uint8Array(12));
    expect(await open(file)).toMatchObject({ inputs: [{ name: 'x', datatype: 'BF16' }] });
  });

  test.each(['../w.bin', '/etc/hostname'])('are not read from elsewhere: %s', async (location) => {
    const file = modelFile(modelWith(location));
    fs.writeFileSync(path.join(path.dirname(file), '..', 'w.bin'), new Uint8Array(12));
    onTestFinished(() => fs.rmSync(path.join(path.dirname(file), '..', 'w.bin')));
    await expect(open(file)).rejects.toThrow(/external/i);
  });
});
