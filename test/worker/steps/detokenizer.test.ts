import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { DetokenizerStep } from '../../../src/worker/steps/detokenizer.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { idsOf, tokenizerFiles, tokenizerJson, WORDS, writeFiles } from '../../support/text-exports.ts';

function folderOf(fields: object = {}): string {
  const directory = temporaryDirectory();
  writeFiles(directory, { ...tokenizerFiles(), 'tokenizer.json': tokenizerJson(fields) });
  return directory;
}

async function textOf(step: DetokenizerStep, ids: readonly number[], skips = true): Promise<unknown> {
  const data = new Uint8Array(BigInt64Array.from(ids, BigInt).buffer);
  const flag = { shape: [1], data: Uint8Array.of(skips ? 1 : 0) };
  const [text] = await step.run([{ shape: [ids.length], data }, flag]);
  expect(text?.shape).toEqual([1]);
  return Array.isArray(text?.data) ? text.data[0] : undefined;
}

const SENTENCE = idsOf('[CLS] the dog ##s sits , un ##known . [SEP] [PAD]');

describe('the text of ids', () => {
  test.each([
    ['leaves out special tokens', true, 'the dogs sits, unknown.'],
    ['keeps special tokens where that is asked for', false, '[CLS] the dogs sits, unknown. [SEP] [PAD]'],
  ])('%s', async (_name, skips, text) => {
    expect(await textOf(new DetokenizerStep(folderOf()), SENTENCE, skips)).toBe(text);
  });

  test('is empty where all of them are special', async () => {
    expect(await textOf(new DetokenizerStep(folderOf()), idsOf('[CLS] [SEP]'))).toBe('');
  });

  test('has a space between tokens where the tokenizer has no decoder', async () => {
    expect(await textOf(new DetokenizerStep(folderOf({ decoder: null })), idsOf('dog ##s .'))).toBe('dog ##s .');
  });

  test.each([
    ['beyond the vocabulary', [1, WORDS.length], `element 1 of input 'input_ids' is ${WORDS.length}`],
    ['that are negative', [-3], "element 0 of input 'input_ids' is -3"],
  ])('refuses ids %s, and names the range', async (_name, ids, text) => {
    const message = `${text}, expected the id of a token, from 0 to ${WORDS.length - 1}`;
    await expect(textOf(new DetokenizerStep(folderOf()), ids)).rejects.toMatchObject({
      outcome: { kind: 'refused', message },
    });
  });

  test('refuses an id between tokens that has none', async () => {
    const far = { id: WORDS.length + 5, content: '<far>', special: false };
    const step = new DetokenizerStep(folderOf({ added_tokens: [far] }));
    expect(await textOf(step, [far.id])).toBe('<far>');
    await expect(textOf(step, [far.id - 1])).rejects.toMatchObject({ outcome: { kind: 'refused' } });
  });

  test('refuses a run without ids', async () => {
    await expect(textOf(new DetokenizerStep(folderOf()), [])).rejects.toMatchObject({ outcome: { kind: 'refused' } });
  });
});

test('the files are read at the first run, and again after a failure', async () => {
  const directory = folderOf();
  const file = path.join(directory, 'tokenizer.json');
  fs.renameSync(file, `${file}.away`);
  const step = new DetokenizerStep(directory);
  expect(step.describe().inputs.map(({ name }) => name)).toEqual(['input_ids', 'skip_special_tokens']);
  await expect(textOf(step, SENTENCE)).rejects.toMatchObject({
    outcome: {
      kind: 'threw',
      message: `the model's tokenizer cannot be read: ${file} does not exist: a tokenizer needs it`,
    },
  });
  fs.renameSync(`${file}.away`, file);
  expect(await textOf(step, SENTENCE)).toBe('the dogs sits, unknown.');
  fs.rmSync(file);
  expect(await textOf(step, SENTENCE)).toBe('the dogs sits, unknown.');
});
