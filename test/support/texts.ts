/** Made-up texts for encoders, as ids and masks. */

import { type InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { below, type Random } from './random.ts';

/** Rows of one request; all are as long. */
export interface Texts {
  readonly rows: number;
  readonly length: number;
  readonly ids: readonly bigint[];
  readonly mask: readonly bigint[];
  /** Elements of each row of the mask. */
  readonly maskLength: number;
}

export interface TextsRecipe {
  readonly maxLength: number;
  readonly maxRows: number;
  /** Ids are below it. */
  readonly vocabulary: number;
}

/** How the rows of a request use their mask: mostly as a tokenizer does, sometimes as no client should. */
const MASKS = {
  /** No padding. */
  whole: () => 1n,
  /** The client has padded its rows itself. */
  padded: (at: number, length: number, cut: number) => (at < Math.max(1, length - cut) ? 1n : 0n),
  late: (at: number, length: number, cut: number) => (at >= Math.min(length - 1, cut) ? 1n : 0n),
  gaps: (at: number, _length: number, cut: number) => (at === 0 || (at * 7 + cut) % 3 > 0 ? 1n : 0n),
  /** Every second row is only padding. */
  blank: (_at: number, _length: number, _cut: number, row: number) => (row % 2 === 1 ? 1n : 0n),
} satisfies Record<string, (at: number, length: number, cut: number, row: number) => bigint>;

export function randomTexts({ maxLength, maxRows, vocabulary }: TextsRecipe, random: Random): Texts {
  const rows = 1 + below(maxRows, random);
  const length = 1 + below(maxLength, random);
  const kinds = ['whole', 'whole', 'whole', 'padded', 'late', 'gaps', 'blank', 'broadcast'] as const;
  const kind = kinds[below(kinds.length, random)] ?? 'whole';
  const ids = Array.from({ length: rows * length }, () => BigInt(below(vocabulary, random)));
  if (kind === 'broadcast') return { rows, length, ids, mask: Array.from({ length: rows }, () => 1n), maskLength: 1 };
  const cut = below(length, random);
  const mask = Array.from({ length: rows * length }, (_, index) =>
    MASKS[kind](index % length, length, cut, Math.floor(index / length)),
  );
  return { rows, length, ids, mask, maskLength: length };
}

/** The outputs of a model of `input_ids` and `attention_mask`, and of `token_type_ids` where `types` says so. */
export async function askTexts(
  client: InferenceClient,
  model: string,
  { rows, length, ids, mask, maskLength }: Texts,
  { types = false }: { readonly types?: boolean } = {},
): Promise<ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>> {
  const shape = [rows, length];
  const { outputs } = await client.infer(model, {
    input_ids: tensor.int64(ids, shape),
    attention_mask: tensor.int64(mask, [rows, maskLength]),
    ...(types && {
      token_type_ids: tensor.int64(
        Array.from({ length: rows * length }, () => 0n),
        shape,
      ),
    }),
  });
  return new Map(
    [...outputs].map(([name, output]) => {
      if (output.datatype !== 'FP32') throw new Error(`output '${name}' is ${output.datatype}`);
      return [name, { shape: output.shape, data: output.data }];
    }),
  );
}

/** The largest difference between two answers, as a share of the largest value; infinite where their shapes differ. */
export function differenceOf(
  one: Awaited<ReturnType<typeof askTexts>>,
  other: Awaited<ReturnType<typeof askTexts>>,
): number {
  let most = one.size === other.size ? 0 : Number.POSITIVE_INFINITY;
  for (const [name, { shape, data }] of one) {
    const beside = other.get(name);
    if (String(beside?.shape) !== String(shape)) return Number.POSITIVE_INFINITY;
    const largest = data.reduce((max, value) => (Math.abs(value) > max ? Math.abs(value) : max), Number.MIN_VALUE);
    for (const [at, value] of data.entries()) {
      const twin = beside?.data[at] ?? 0;
      // The mean of a row of only padding is 0 / 0.
      if (Object.is(value, twin)) continue;
      const off = Math.abs(value - twin) / largest;
      most = Math.max(most, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off);
    }
  }
  return most;
}
