/** Steps: work that a runner does without ONNX Runtime. A closed set: each has its options. The code of a user is one of them. */

import type { TensorSpec } from '../wire/tensor.ts';

/** From texts to token ids. */
export interface TokenizerOptions {
  readonly kind: 'tokenizer';
  /** Most tokens of a row; absent: as the files of the tokenizer say. */
  readonly maxLength?: number | undefined;
  /** A longer text is cut, or its request is refused. */
  readonly truncation: 'truncate' | 'refuse';
  /** Rows are pairs of texts, as rerankers take them. */
  readonly pair: boolean;
  /** Whether a text such as `[SEP]` from a user becomes the special token. */
  readonly specialTokensInText: boolean;
  /** Longest text in bytes of UTF-8. */
  readonly maxTextBytes: number;
}

/** From token ids to a text. */
export interface DetokenizerOptions {
  readonly kind: 'detokenizer';
}

export const POOLING_MODES = ['mean', 'cls', 'last', 'max'] as const;

/** From one vector a token to one vector a row. */
export interface PoolingOptions {
  readonly kind: 'pooling';
  readonly mode: (typeof POOLING_MODES)[number];
  /** Scale each vector to the length 1. */
  readonly normalize: boolean;
  /** Elements of a token's vector; absent: any. */
  readonly width?: number | undefined;
  /** Keep only so many elements of the vector; absent: all. */
  readonly dimensions?: number | undefined;
}

export const LABEL_FUNCTIONS = ['softmax', 'sigmoid', 'none'] as const;

/** From the logits of a classifier to its classes, the likeliest first. */
export interface LabelsOptions {
  readonly kind: 'labels';
  /** From logits to scores. */
  readonly function: (typeof LABEL_FUNCTIONS)[number];
  /** Names of the classes, in the order of the logits; empty: their numbers. */
  readonly labels: readonly string[];
  /** Give so many classes; absent: all. */
  readonly topK?: number | undefined;
}

/** A tensor as the configuration of a code model declares it: an open axis has its name, or `''`. */
interface DeclaredTensor extends TensorSpec {
  readonly axes: readonly (number | string)[];
}

/** A module of the user, which answers rows. */
export interface JavascriptOptions {
  readonly kind: 'javascript';
  /** As the configuration declares them, with a batch axis where there is one. */
  readonly inputs: readonly DeclaredTensor[];
  readonly outputs: readonly DeclaredTensor[];
  /** Whether the first axis of each tensor is the batch axis. */
  readonly isBatched: boolean;
  /** Requests get any number of answers. */
  readonly isDecoupled: boolean;
  readonly parameters: Readonly<Record<string, string>>;
  /** Most MiB of its heap; typed arrays lie outside of it. */
  readonly maxHeapMb: number;
  /** Most bytes of a call to another model. */
  readonly maxCallBytes: number;
}

export const RESAMPLE_FILTERS = ['nearest', 'bilinear', 'bicubic', 'lanczos'] as const;
export const IMAGE_COLORS = ['RGB', 'BGR', 'GRAY'] as const;
export const IMAGE_LAYOUTS = ['NCHW', 'NHWC'] as const;
export const IMAGE_DATATYPES = ['FP32', 'FP16', 'UINT8'] as const;

/** In pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** From image files to pixels. */
export interface ImageOptions {
  readonly kind: 'image';
  /** The size that images are stretched to, or the size of the shorter edge, which keeps proportions; absent: as they are. */
  readonly resize?: ImageSize | { readonly shortestEdge: number } | undefined;
  readonly filter: (typeof RESAMPLE_FILTERS)[number];
  /** The middle is kept, after the resize; absent: all. */
  readonly crop?: ImageSize | undefined;
  readonly color: (typeof IMAGE_COLORS)[number];
  /** Factor of each value, which is 0 to 255. */
  readonly scale: number;
  /** By channel, in the order of `color`; one value is for all channels. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly layout: (typeof IMAGE_LAYOUTS)[number];
  readonly datatype: (typeof IMAGE_DATATYPES)[number];
  /** Longest file in bytes, as the client sends it. */
  readonly maxImageBytes: number;
  /** Most pixels of an image, by its header. */
  readonly maxPixels: number;
}

export type StepOptions =
  | TokenizerOptions
  | DetokenizerOptions
  | PoolingOptions
  | LabelsOptions
  | JavascriptOptions
  | ImageOptions;
