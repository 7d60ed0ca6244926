/** Where the inputs of a batch lie for its run: in the mailbox, or, as far as they have landed, where they are. */

import { isLanded, type LandedBytes } from '../../wire/tensor-bytes.ts';
import { aligned, type InputPiece, type Run } from '../../worker/protocol.ts';
import type { Gathered, TensorBatch } from '../batch/batch.ts';

export interface InputLayout {
  /** To be written to the mailbox, one behind the other. */
  readonly chunks: readonly Uint8Array[];
  /** Where they end there. */
  readonly end: number;
  /** As a run says it. */
  readonly pieces: readonly InputPiece[] | undefined;
  /** Bytes that were lent to the run: they have to be given back when it is over. */
  readonly lent: readonly LandedBytes[];
}

const NOTHING_LENT: readonly LandedBytes[] = [];

export function layOut({ places, chunks, end }: Gathered): InputLayout {
  if (!chunks.some(isLanded))
    return { chunks: chunks as readonly Uint8Array[], end, pieces: undefined, lent: NOTHING_LENT };
  const written: Uint8Array[] = [];
  const pieces: InputPiece[] = [];
  const lent: LandedBytes[] = [];
  let mailboxEnd = 0;
  let at = 0;
  let tensor = 0;
  for (const chunk of chunks) {
    for (let place = places[tensor]; place !== undefined && at >= place.offset + place.byteLength; )
      place = places[++tensor];
    // Between two tensors lies padding, which is only there for the order of a mailbox.
    const isPadding = at < (places[tensor]?.offset ?? end);
    const file = isLanded(chunk) ? chunk.lend() : undefined;
    const { byteLength } = chunk;
    if (isLanded(chunk) && file !== undefined) {
      lent.push(chunk);
      pieces.push({ file: file.file, from: file.offset, at, byteLength });
    } else if (!isPadding && byteLength > 0) {
      written.push(isLanded(chunk) ? chunk.read() : chunk);
      const last = pieces.at(-1);
      if (last !== undefined && last.file === undefined && last.at + last.byteLength === at) {
        pieces[pieces.length - 1] = { ...last, byteLength: last.byteLength + byteLength };
      } else {
        pieces.push({ file: undefined, from: mailboxEnd, at, byteLength });
      }
      mailboxEnd += byteLength;
    }
    at += byteLength;
  }
  return { chunks: written, end: mailboxEnd, pieces, lent };
}

export function runOf({ places }: Gathered, { pieces, end }: InputLayout, maxOutputBytes: number): Run {
  const run = { inputs: places, outputOffset: aligned(end), maxOutputBytes };
  return pieces === undefined ? run : { ...run, pieces };
}

/** Tensors of the batch that have landed, as one more holder of them. */
export function retainLanded({ requests }: TensorBatch): readonly LandedBytes[] {
  const landed: LandedBytes[] = [];
  for (const { tensors } of requests) for (const bytes of tensors.inputs) if (isLanded(bytes)) landed.push(bytes);
  for (const bytes of landed) bytes.retain();
  return landed;
}
