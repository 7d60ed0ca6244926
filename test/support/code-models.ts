import type { ModelFiles } from './repository.ts';

interface CodeTensor {
  readonly name: string;
  readonly data_type: string;
  readonly dims: readonly number[];
}

/** FP32 rows of two elements in and out. */
export const PAIRS = {
  input: [{ name: 'x', data_type: 'TYPE_FP32', dims: [2] }],
  output: [{ name: 'y', data_type: 'TYPE_FP32', dims: [2] }],
} satisfies Record<string, readonly CodeTensor[]>;

/** A model of the platform `tensorgate_javascript`, with one instance. */
export function codeModel(source: string, config: object = PAIRS, file = 'model.mjs'): ModelFiles {
  return {
    versions: { 1: undefined },
    config: { platform: 'tensorgate_javascript', instance_group: [{ count: 1 }], ...config },
    files: { [`1/${file}`]: source },
  };
}
