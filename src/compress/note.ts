/** A change to a part of a model, or the reason why it was kept. */

import type { OnnxModel } from './onnx/model-file.ts';

export interface Note {
  /** The node's name, or without one the name of its output. Weights that are treated by themselves have their own name. */
  readonly node: string;
  /** Such as `Conv`; `Initializer` for weights that are treated by themselves. */
  readonly opType: string;
  /** `kept`: left as it was, for the reason that the text gives. */
  readonly kind: 'quantized' | 'folded' | 'cast' | 'factored' | 'pruned' | 'kept';
  readonly text: string;
}

export interface Compressed {
  readonly model: OnnxModel;
  /** In the order of the graph. */
  readonly notes: readonly Note[];
}
