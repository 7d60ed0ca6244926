/**
 * Which requests of a batch run together, where padding makes shorter ones as long as the longest.
 *
 * A request joins a longer one only if the time of its padding is less than a run of its own: on CPUs the padding of a long text
 * costs more than a run saves. The cheapest of all splits by length is taken (dynamic programming over the lengths, as in breaking
 * a list into lines).
 */

import { type InferTensors, type RowSize, UNIT_ROW } from '../admit/infer-tensors.ts';

/** A request as far as its cost goes. */
interface Sized {
  readonly rows: number;
  readonly tensors: Pick<InferTensors, 'size'>;
}

/** Milliseconds that a batch takes whose rows all have a size; `undefined` while that is not known. */
export type PredictRows = (size: RowSize, rows: number) => number | undefined;

/**
 * Lengths that differ by less than this part of the longest always run together: the lengths between two edges of the grid then
 * make about a dozen classes, and a decision stays cheap.
 */
const CLASSES_PER_LENGTH = 64;

/** Requests whose lengths are all but equal. */
interface LengthClass {
  rows: number;
  /** Size of the longest request. */
  size: RowSize;
}

/** Size of each row of a batch that is padded to its longest request: a batch costs as much as if all were as long. */
export function paddedSize(requests: readonly Pick<Sized, 'tensors'>[]): RowSize {
  let longest = requests[0]?.tensors.size ?? UNIT_ROW;
  for (const { tensors } of requests) if (tensors.size.length > longest.length) longest = tensors.size;
  return longest;
}

/** The requests that run together with the first, among those that could share its batch: all of them if that is cheapest. */
export function withFirst<R extends Sized>(requests: readonly R[], predict: PredictRows): readonly R[] {
  const [first] = requests;
  const longest = paddedSize(requests).length;
  if (first === undefined || requests.every(({ tensors }) => tensors.size.length === longest)) return requests;
  const step = Math.ceil(longest / CLASSES_PER_LENGTH);
  const classOf = ({ tensors }: R): number => Math.ceil(tensors.size.length / step);
  const found = new Map<number, LengthClass>();
  for (const request of requests) {
    const { size } = request.tensors;
    const known = found.get(classOf(request));
    if (known === undefined) found.set(classOf(request), { rows: request.rows, size });
    else {
      known.rows += request.rows;
      if (size.length > known.size.length) known.size = size;
    }
  }
  const order = [...found.keys()].sort((a, b) => a - b);
  const ends = cheapestEnds(
    order.flatMap((key) => found.get(key) ?? []),
    predict,
  );
  const end = ends?.find((each) => (order[each - 1] ?? 0) >= classOf(first));
  if (end === undefined || ends === undefined) return requests;
  const from = order[ends[ends.indexOf(end) - 1] ?? 0] ?? 0;
  const to = order[end - 1] ?? 0;
  return requests.filter((request) => classOf(request) >= from && classOf(request) <= to);
}

/** Where the runs end that take the least time together, as counts of classes; `undefined` where a time is not known. */
function cheapestEnds(classes: readonly LengthClass[], predict: PredictRows): number[] | undefined {
  /** By count of classes: the least time of all of them, and where the last run begins. */
  const best = [{ ms: 0, from: 0 }];
  for (let end = 1; end <= classes.length; end++) {
    const size = classes[end - 1]?.size;
    if (size === undefined) return undefined;
    let rows = 0;
    let least = { ms: Number.POSITIVE_INFINITY, from: 0 };
    for (let from = end - 1; from >= 0; from--) {
      rows += classes[from]?.rows ?? 0;
      const took = predict(size, rows);
      if (took === undefined) return undefined;
      const ms = (best[from]?.ms ?? 0) + took;
      // Where times are equal, fewer runs win.
      if (ms <= least.ms) least = { ms, from };
    }
    best.push(least);
  }
  const ends: number[] = [];
  for (let end = classes.length; end > 0; end = best[end]?.from ?? 0) ends.unshift(end);
  return ends;
}
