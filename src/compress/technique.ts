/** Techniques for smaller models, and their notation: `int8`, `fp16-weights`, `rank:64`, `sparse:0.5`. */

import { CompressError } from './compress-error.ts';

export type Technique =
  /** Calibrated static quantization to 8 bits: a quarter of the bytes, and integer arithmetic. */
  | { readonly kind: 'int8' }
  /** Weights stored as float16 and computed in float32: half of the bytes, the same speed. */
  | { readonly kind: 'fp16-weights' }
  /** Large matrices as a product of two thin ones of this rank. */
  | { readonly kind: 'rank'; readonly rank: number }
  /** This share of each matrix, the smallest weights, set to 0. It saves bytes only where the file is packed. */
  | { readonly kind: 'sparse'; readonly share: number };

const FORMS = 'int8, fp16-weights, rank:N (such as rank:64) or sparse:P (such as sparse:0.5)';

/** @throws CompressError (`technique`) */
export function parseTechnique(text: string): Technique {
  const [kind, value, ...rest] = text.trim().split(':');
  if (rest.length === 0) {
    if ((kind === 'int8' || kind === 'fp16-weights') && value === undefined) return { kind };
    if (kind === 'rank') {
      const rank = /^[1-9]\d{0,5}$/.test(value ?? '') ? Number(value) : undefined;
      if (rank !== undefined) return { kind, rank };
      throw new CompressError('technique', `'${text}': expected rank:N with a whole number N of at least 1`);
    }
    if (kind === 'sparse') {
      const share = /^(0?\.\d+|0)$/.test(value ?? '') ? Number(value) : 0;
      if (share > 0) return { kind, share };
      throw new CompressError('technique', `'${text}': expected sparse:P with a share P above 0 and below 1`);
    }
  }
  throw new CompressError('technique', `'${text}' is no technique: expected ${FORMS}`);
}

/** The notation that `parseTechnique` reads. */
export function formatTechnique(technique: Technique): string {
  switch (technique.kind) {
    case 'int8':
    case 'fp16-weights':
      return technique.kind;
    case 'rank':
      return `rank:${technique.rank}`;
    case 'sparse':
      return `sparse:${technique.share}`;
  }
}
