/** Texts of mixed lengths, and what a text encoder takes for them. */

import { azureTokens } from './azure-trace.ts';
import { normal, type Random, seeded } from './random.ts';

/** Tokens of queries, of passages, of both in equal parts, or of the prompts of the Azure traces. */
export type TextKind = 'queries' | 'passages' | 'mixed' | 'azure-code' | 'azure-conversation';

/** Most tokens of a prompt. Longer lengths of the traces are brought down in proportion: encoders take no more. */
const MAX_TOKENS = 512;

export function tokensOf(kind: TextKind, count: number, seed: number): number[] {
  if (kind === 'azure-code' || kind === 'azure-conversation') return promptsOf(kind, count, seed);
  const random = seeded(seed);
  return Array.from({ length: count }, () => tokens(kind, random));
}

function promptsOf(kind: 'azure-code' | 'azure-conversation', count: number, seed: number): number[] {
  const all = azureTokens(kind);
  const longest = Math.max(...all);
  const offset = Math.floor(seeded(seed)() * all.length);
  return Array.from({ length: count }, (_, index) => {
    const own = all[(offset + index) % all.length] ?? 1;
    return Math.max(1, Math.round((own * MAX_TOKENS) / longest));
  });
}

function tokens(kind: Exclude<TextKind, 'azure-code' | 'azure-conversation'>, random: Random): number {
  switch (kind) {
    case 'queries':
      return around(14, 0.55, 3, 128, random);
    case 'passages':
      return around(150, 0.4, 32, 256, random);
    case 'mixed':
      return random() < 0.5 ? around(14, 0.5, 3, 64, random) : around(120, 0.5, 16, 256, random);
  }
}

/** Lognormal around `median`, within bounds. */
function around(median: number, sigma: number, least: number, most: number, random: Random): number {
  return Math.max(least, Math.min(most, Math.round(median * Math.exp(sigma * normal(random)))));
}

/**
 * Milliseconds of MiniLM-L6 on one core for `rows` texts that are padded to `length` tokens: linear in the tokens, quadratic in
 * the length, and dearer where a batch no longer fits into the cache (calibrated with onnxruntime-node 1.30).
 */
export function encoderMs(rows: number, length: number): number {
  const tokens = rows * length;
  return 3 + 0.25 * tokens + 3e-4 * tokens * length * (tokens > 1_000 ? 1.5 : 1);
}
