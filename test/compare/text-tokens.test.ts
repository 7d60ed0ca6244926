import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDataset } from '../../src/cli/data/dataset.ts';
import { TextTokens } from '../../src/compare/text-tokens.ts';
import { MODEL_CONFIG } from '../../src/gateway/repository/config/model-config.ts';
import { resolveSignature } from '../../src/gateway/repository/signature/model-signature.ts';
import { bytesOf } from '../../src/wire/tensor-bytes.ts';
import type { SessionTensor } from '../../src/worker/protocol.ts';
import type { TokenizerOptions } from '../../src/worker/step-spec.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { idsOf, tokenizerFiles, WORDS, writeFiles } from '../support/text-exports.ts';

const OPTIONS = { kind: 'tokenizer', truncation: 'truncate', pair: false, specialTokensInText: true, maxTextBytes: 99 };
const [CLS, SEP] = [WORDS.indexOf('[CLS]'), WORDS.indexOf('[SEP]')];

/** A model of such inputs, INT64 [batch, sequence], with a tokenizer unless `options` is missing. */
async function model(names: readonly string[], options?: Partial<TokenizerOptions>) {
  const tensor = (name: string): SessionTensor => ({
    name,
    datatype: 'INT64',
    shape: [-1, -1],
    axes: ['batch', 'sequence'],
  });
  const outputs: SessionTensor[] = [{ name: 'y', datatype: 'FP32', shape: [-1, 2], axes: ['batch', 2] }];
  const inputs = names.map(tensor);
  const info = { inputs, outputs, provider: 'cpu', refusals: [] } as const;
  const metadata = { name: 'm', versions: [], platform: 'onnxruntime_onnx', inputs, outputs, properties: {} };
  const directory = temporaryDirectory();
  writeFiles(directory, tokenizerFiles());
  const tokens = options && (await TextTokens.open(directory, { ...OPTIONS, ...options } as TokenizerOptions));
  return { metadata, signature: resolveSignature(info, MODEL_CONFIG.parse({})), tokens };
}

/** Rows of such lines: name, label, and the numbers of each input. */
async function rowsOf(opened: Awaited<ReturnType<typeof model>>, ...lines: readonly string[]) {
  const file = path.join(temporaryDirectory(), 'texts.jsonl');
  fs.writeFileSync(file, lines.join('\n'));
  const { count, read } = await openDataset(file, opened, false);
  const samples = await Promise.all(Array.from({ length: count }, (_, index) => read(index)));
  return samples.map(({ name, label, tensors }) => {
    const inputs = tensors.inputs.map((input) =>
      [...new BigInt64Array(Uint8Array.from(bytesOf(input)).buffer)].map(Number),
    );
    return { name, label, shapes: tensors.shapes, inputs };
  });
}

describe('texts in lines of JSON', () => {
  test('become the inputs that the model takes, in its order, each of its own length', async () => {
    const opened = await model(['attention_mask', 'input_ids'], {});
    expect(await rowsOf(opened, '{"text":"the cat sits","label":"calm"}', '{"text":["paris","a dog"]}')).toEqual([
      {
        name: 'texts.jsonl:1',
        label: 'calm',
        shapes: [
          [1, 5],
          [1, 5],
        ],
        inputs: [
          [1, 1, 1, 1, 1],
          [CLS, ...idsOf('the cat sits'), SEP],
        ],
      },
      expect.objectContaining({
        name: 'texts.jsonl:2 row 0',
        inputs: [expect.anything(), [CLS, ...idsOf('paris'), SEP]],
      }),
      expect.objectContaining({
        name: 'texts.jsonl:2 row 1',
        inputs: [expect.anything(), [CLS, ...idsOf('a dog'), SEP]],
      }),
    ]);
  });

  test('may be requests as clients send them', async () => {
    const line = '{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"data":["paris"]}]}';
    const [row] = await rowsOf(await model(['input_ids'], {}), line);
    expect(row).toMatchObject({ shapes: [[1, 3]], inputs: [[CLS, ...idsOf('paris'), SEP]] });
  });

  test('may be pairs, for a model of pairs', async () => {
    const opened = await model(['input_ids'], { pair: true });
    const [row] = await rowsOf(opened, '{"text":"the cat","text_pair":"a dog"}');
    expect(row?.inputs).toEqual([[CLS, ...idsOf('the cat'), SEP, ...idsOf('a dog'), SEP]]);
  });

  test('leave lines with ids as they are', async () => {
    const [row] = await rowsOf(await model(['input_ids'], {}), '{"input_ids":[[7,8]]}');
    expect(row?.inputs).toEqual([[7, 8]]);
  });

  test.each([
    [
      'a model without a tokenizer',
      ['input_ids'],
      undefined,
      '{"text":"a"}',
      'put its tokenizer.json beside the ONNX file',
    ],
    [
      'an input of another kind',
      ['pixels'],
      {},
      '{"text":"a"}',
      "the model takes 'pixels' INT64, and the tokenizer gives input_ids",
    ],
    ['half of a pair', ['input_ids'], { pair: true }, '{"text":"a"}', 'expected pairs: text and text_pair'],
    ['an unwanted pair', ['input_ids'], {}, '{"text":"a","text_pair":"the"}', 'expected text without text_pair'],
    [
      'uneven pairs',
      ['input_ids'],
      { pair: true },
      '{"text":["a"],"text_pair":["a","the"]}',
      'text_pair has 2 texts, expected 1 as text',
    ],
    [
      'too long a text',
      ['input_ids'],
      { maxLength: 4, truncation: 'refuse' },
      '{"text":"a dog runs"}',
      "element 0 of input 'text' has 5 tokens",
    ],
  ] as const)('are refused with their line for %s', async (_, inputs, options, line, text) => {
    await expect(rowsOf(await model(inputs, options), line)).rejects.toThrow(text);
    await expect(rowsOf(await model(inputs, options), line)).rejects.toThrow('texts.jsonl:1: ');
  });
});
