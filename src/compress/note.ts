/** What was done to a part of a model, or why it was left as it is. */

import type { OnnxModel } from './onnx/model-file.ts';

export interface Note {
  /** The node's name; where it has none, that of what it makes. For weights that are treated by themselves, theirs. */
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
