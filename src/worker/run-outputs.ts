/** The outputs of a run, from their values to their places in the mailbox. */

import { describeOutputs, type Shape, type TensorSpec } from '../wire/tensor.ts';
import { isNoRoom, type Mailbox } from './mailbox.ts';
import { aligned, type TensorPlace } from './protocol.ts';
import { RunFailure } from './run-failure.ts';
import { encodeStrings } from './string-tensor.ts';

export interface GivenOutput {
  readonly tensor: Pick<TensorSpec, 'name' | 'datatype'>;
  readonly shape: Shape;
  readonly byteLength: number;
  /** Values, as the session gives them: of BF16 as float32. */
  readonly data: Uint8Array | readonly string[];
}

const PADDING = new Uint8Array(64);

/** @throws RunFailure where they have more than `maxBytes` (nothing is copied then), or where the mailbox has no room */
export function writeOutputs(
  mailbox: Mailbox,
  outputs: readonly GivenOutput[],
  from: number,
  maxBytes: number,
): TensorPlace[] {
  checkSizes(outputs, maxBytes);
  const places: TensorPlace[] = [];
  const chunks: Uint8Array[] = [];
  let end = from;
  for (const { tensor, shape, data, byteLength } of outputs) {
    const { name, datatype } = tensor;
    const offset = aligned(end);
    if (offset > end) chunks.push(PADDING.subarray(0, offset - end));
    chunks.push(datatype === 'BF16' ? narrowed(data) : data instanceof Uint8Array ? data : encodeStrings(data));
    end = offset + byteLength;
    places.push({ name, datatype, shape, offset, byteLength });
  }
  try {
    mailbox.writeSync(chunks, from);
  } catch (error) {
    if (!isNoRoom(error)) throw error;
    throw new RunFailure({ kind: 'no_room', bytes: end, message: String(error), isLasting: false });
  }
  return places;
}

function checkSizes(outputs: readonly GivenOutput[], maxBytes: number): void {
  let total = 0;
  for (const { byteLength } of outputs) total += byteLength;
  if (total <= maxBytes) return;
  const sizes = outputs.map(({ tensor: { name }, shape, byteLength }) => ({ name, shape, byteLength }));
  throw new RunFailure({ kind: 'outputs_too_large', message: describeOutputs(sizes) });
}

/** The upper halves of float32 values that a cast from BF16 has made: nothing is rounded. */
function narrowed(data: GivenOutput['data']): Uint8Array {
  if (!(data instanceof Uint8Array)) throw new TypeError('texts for a BF16 output');
  const wide = new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
  const bits = new Uint16Array(wide.length / 2);
  for (let index = 0; index < bits.length; index++) bits[index] = wide[2 * index + 1] ?? 0;
  return new Uint8Array(bits.buffer);
}
