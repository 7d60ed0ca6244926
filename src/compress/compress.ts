/** Makes a smaller model by one technique. Nothing runs here: the same model and ranges always give the same bytes. */

import type { Ranges } from './calibration.ts';
import { CompressError } from './compress-error.ts';
import { storeHalf } from './fp16-weights.ts';
import { quantize } from './int8/quantize.ts';
import { lowerRank } from './low-rank.ts';
import type { Compressed } from './note.ts';
import type { OnnxModel } from './onnx/model-file.ts';
import { prune } from './sparse-weights.ts';
import type { Technique } from './technique.ts';

export interface CompressOptions {
  /** Names of nodes, as in the notes, that `int8` keeps in float: often one layer causes all of the loss. */
  readonly keep?: ReadonlySet<string>;
}

/**
 * @param ranges of the tensors of this model, as from `calibrate`: `int8` needs them, the others do not.
 * @throws CompressError (`model`) where there is nothing in it that the technique applies to; the text says why.
 */
export function compress(
  model: OnnxModel,
  technique: Technique,
  ranges?: Ranges,
  { keep = new Set() }: CompressOptions = {},
): Compressed {
  switch (technique.kind) {
    case 'int8':
      if (ranges === undefined) throw new CompressError('calibration', 'int8 needs the ranges of a calibration');
      return quantize(model, ranges, keep);
    case 'fp16-weights':
      return storeHalf(model);
    case 'rank':
      return lowerRank(model, technique.rank);
    case 'sparse':
      return prune(model, technique.share);
  }
}
