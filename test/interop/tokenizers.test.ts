/** The tokenizer step against the Rust one of PyPI: every id of 100,000 texts in 27 blocks of Unicode, and the texts of ids. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { DetokenizerStep } from '../../src/worker/steps/detokenizer.ts';
import { TokenizerStep } from '../../src/worker/steps/tokenizer.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { rustTokenizers } from '../tools/tools.ts';

const tools = rustTokenizers();
const TEXTS = 100_000;
/** For each kind of decoder. */
const LISTS = 2_000;
/** A busy machine takes minutes. */
const LIMIT_MS = 600_000;

describe.skipIf(tools === undefined)('the ids of all-MiniLM-L6-v2', () => {
  test.each([
    ['with special tokens in texts', true, TEXTS],
    ['with the names of special tokens as plain text', false, TEXTS / 5],
  ])('are as in Rust %s', { timeout: LIMIT_MS }, async (_name, specialTokensInText, count) => {
    const { python, folder } = tools as NonNullable<typeof tools>;
    const recorded = path.join(temporaryDirectory(), 'ids.jsonl');
    const script = path.join(import.meta.dirname, 'tokenizer-ids.py');
    const mode = specialTokensInText ? 'on' : 'off';
    execFileSync(python, [script, path.join(folder, 'tokenizer.json'), String(count), mode, recorded], {
      stdio: 'inherit',
    });
    const step = await TokenizerStep.open(folder, {
      kind: 'tokenizer',
      maxLength: 100_000,
      truncation: 'refuse',
      pair: false,
      specialTokensInText,
      maxTextBytes: 1 << 20,
    });
    const differing: string[] = [];
    let compared = 0;
    for (const line of fs.readFileSync(recorded, 'utf8').trimEnd().split('\n')) {
      const [text, expected] = JSON.parse(line) as [string, number[]];
      const [ids] = step.run([{ shape: [1], data: [text] }]);
      const bytes = ids?.data as Uint8Array<ArrayBuffer>;
      const values = new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
      compared++;
      if (String(values) !== String(expected)) differing.push(text);
    }
    expect(compared).toBe(count);
    expect(differing).toEqual([]);
  });
});

describe.skipIf(tools === undefined)('the texts of made-up ids', () => {
  test('are as in Rust, with each kind of decoder', { timeout: LIMIT_MS }, async () => {
    const { python, folder } = tools as NonNullable<typeof tools>;
    const directory = temporaryDirectory();
    const script = path.join(import.meta.dirname, 'tokenizer-texts.py');
    execFileSync(python, [script, path.join(folder, 'tokenizer.json'), String(LISTS), directory], { stdio: 'inherit' });
    const kinds = fs.readdirSync(directory);
    expect(kinds.sort()).toEqual(['ByteFallback', 'ByteLevel', 'Metaspace', 'Metaspace-never', 'WordPiece']);
    for (const kind of kinds) {
      const step = new DetokenizerStep(path.join(directory, kind));
      const lines = fs
        .readFileSync(path.join(directory, kind, 'texts.jsonl'), 'utf8')
        .trimEnd()
        .split('\n');
      expect(lines).toHaveLength(LISTS);
      for (const line of lines) {
        const [ids, without, whole] = JSON.parse(line) as [number[], string, string];
        const data = new Uint8Array(BigInt64Array.from(ids, BigInt).buffer);
        const given: unknown[] = [];
        for (const skips of [1, 0]) {
          const [text] = await step.run([
            { shape: [ids.length], data },
            { shape: [1], data: Uint8Array.of(skips) },
          ]);
          given.push(text?.data);
        }
        expect([kind, ids, ...given]).toEqual([kind, ids, [without], [whole]]);
      }
    }
  });
});
