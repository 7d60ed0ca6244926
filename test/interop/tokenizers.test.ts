/** The tokenizer step against the Rust one of PyPI: every id of 100,000 texts in 27 blocks of Unicode. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { TokenizerStep } from '../../src/worker/steps/tokenizer.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { rustTokenizers } from '../tools/tools.ts';

const tools = rustTokenizers();
const TEXTS = 100_000;
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
