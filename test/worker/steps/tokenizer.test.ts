import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { RunFailure } from '../../../src/worker/run-failure.ts';
import type { TokenizerOptions } from '../../../src/worker/step-spec.ts';
import { TokenizerStep } from '../../../src/worker/steps/tokenizer.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { type Files, idsOf, tokenizerFiles, tokenizerJson, WORDS, writeFiles } from '../../support/text-exports.ts';

const OPTIONS: TokenizerOptions = {
  kind: 'tokenizer',
  truncation: 'truncate',
  pair: false,
  specialTokensInText: true,
  maxTextBytes: 1_024,
};

function opened(files: Files = tokenizerFiles(), options: Partial<TokenizerOptions> = {}): Promise<TokenizerStep> {
  const directory = temporaryDirectory();
  writeFiles(directory, files);
  return TokenizerStep.open(directory, { ...OPTIONS, ...options });
}

/** The ids of each text. */
function idsGiven(step: TokenizerStep, ...texts: readonly (readonly string[])[]): number[][] {
  const [ids] = step.run(texts.map((data) => ({ shape: [data.length], data })));
  const [rows = 0, length = 0] = ids?.shape ?? [];
  const bytes = ids?.data as Uint8Array<ArrayBuffer>;
  const values = [...new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8)].map(Number);
  return Array.from({ length: rows }, (_, row) => values.slice(row * length, (row + 1) * length));
}

const around = (...ids: number[]) => [WORDS.indexOf('[CLS]'), ...ids, WORDS.indexOf('[SEP]')];

describe('the most tokens of a row', () => {
  const limits: Files = {
    ...tokenizerFiles({ model_max_length: 7 }),
    'tokenizer.json': tokenizerJson({ truncation: { max_length: 8 } }),
  };
  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(limits).filter(([name]) => !names.includes(name)));

  test.each<[string, Files, Partial<TokenizerOptions>, number]>([
    ['the configuration', { ...limits, 'sentence_bert_config.json': { max_seq_length: 6 } }, { maxLength: 5 }, 5],
    ['sentence_bert_config.json', { ...limits, 'sentence_bert_config.json': { max_seq_length: 6 } }, {}, 6],
    ['tokenizer_config.json', limits, {}, 7],
    ['tokenizer.json', without('tokenizer_config.json'), {}, 8],
    [
      'tokenizer.json where tokenizer_config.json has none',
      { ...limits, 'tokenizer_config.json': { model_max_length: 1e30 } },
      {},
      8,
    ],
  ])('comes from %s', async (_name, files, options, most) => {
    const step = await opened(files, options);
    expect(idsGiven(step, ['the '.repeat(50)])[0]).toHaveLength(most);
    expect(step.describe().notes?.[0]).toContain(`at most ${most} tokens a row`);
  });

  test('is 512 where no file says one', async () => {
    expect(idsGiven(await opened({ 'tokenizer.json': tokenizerJson() }), ['a '.repeat(600)])[0]).toHaveLength(512);
  });

  test('has to leave room for more than the special tokens', async () => {
    await expect(opened(tokenizerFiles(), { pair: true, maxLength: 3 })).rejects.toThrow(
      'max_length is 3, and the special tokens of a row are 3: expected more',
    );
  });
});

describe('texts as the tokenizer in Rust reads them', () => {
  test.each([
    ['Greek capitals at the end of a word', 'ΑΣ', ['α', '##σ']],
    ['ideographs beyond the basic plane', '\u{20000}\u{20001}', ['\u{20000}', '\u{20001}']],
    ['punctuation that is newer than Unicode 8 is part of a word', 'ক\u09fdক', ['ক', '##\u09fd', '##ক']],
    ['accents', 'Café', ['cafe']],
  ])('%s', async (_name, text, tokens) => {
    const vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...tokens];
    const json = tokenizerJson() as { model: object };
    const own = {
      ...json,
      model: { ...json.model, vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])) },
    };
    const step = await opened({ 'tokenizer.json': own });
    expect(idsGiven(step, [text])).toEqual([[2, ...tokens.map((_, at) => 5 + at), 3]]);
  });
});

test('an empty text is its special tokens, also as the second of a pair', async () => {
  expect(idsGiven(await opened(), [''])).toEqual([around()]);
  const pairs = await opened(tokenizerFiles(), { pair: true });
  expect(idsGiven(pairs, ['cat'], [''])).toEqual([around(...idsOf('cat [SEP]'))]);
});

test('the start is cut where the tokenizer says so', async () => {
  const step = await opened(tokenizerFiles({ truncation_side: 'left' }), { maxLength: 4 });
  expect(idsGiven(step, ['the cat sits'])).toEqual([around(...idsOf('cat sits'))]);
});

test('a run without texts is refused', async () => {
  const step = await opened();
  expect(() => idsGiven(step, [])).toThrow(RunFailure);
});

test.each<[string, Files, string]>([
  ['that is missing', {}, 'tokenizer.json does not exist: a tokenizer needs it'],
  ['that is no JSON', { 'tokenizer.json': Buffer.from('{') }, 'tokenizer.json cannot be read'],
  ['of something else', { 'tokenizer.json': { a: 1 } }, 'tokenizer.json is no tokenizer: it has no list added_tokens'],
  [
    'with an unknown model',
    { 'tokenizer.json': tokenizerJson({ model: { type: 'Magic' } }) },
    path.join('', 'tokenizer.json: '),
  ],
])('a file %s is named', async (_name, files, text) => {
  await expect(opened(files)).rejects.toThrow(text);
});
