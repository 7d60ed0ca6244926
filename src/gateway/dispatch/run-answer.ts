/** The answer of a run: its outputs, read from the mailbox in the shapes that clients see, and where its time went. */

import type { Mailbox } from '../../worker/mailbox.ts';
import type { PlacedAnswer, RunOutcome } from '../../worker/run-outcome.ts';
import type { OutputTensor } from '../batch/queued-request.ts';
import { type ModelTensor, reshape } from '../repository/signature/row-axis.ts';
import type { OutputPool } from './output-pool.ts';

/** Reads all outputs at once; each is a view of memory of the pool. */
export async function readAnswer(
  { outputs: places, rowLengths, computeMs, readMs, writeMs }: PlacedAnswer,
  mailbox: Mailbox,
  pool: OutputPool,
  signature: { readonly outputs?: readonly ModelTensor[] },
  startedMs: number,
  writtenMs: number,
): Promise<RunOutcome> {
  const answered = performance.now();
  const from = places[0]?.offset ?? 0;
  let to = from;
  for (const { offset, byteLength } of places) to = Math.max(to, offset + byteLength);
  const memory = pool.take(to - from);
  const { bytes } = memory;
  await mailbox.read(bytes, from);
  mailbox.release(to);
  const outputs = places.map(({ name, datatype, shape, offset, byteLength }) => ({
    name,
    datatype,
    shape,
    data: bytes.subarray(offset - from, offset - from + byteLength),
    ...(rowLengths && { rowLengths }),
  }));
  // Only the sum of both ways is known; each is charged half.
  const hopMs = Math.max(0, answered - writtenMs - computeMs - readMs - writeMs) / 2;
  return {
    kind: 'ok',
    outputs: asSeen(outputs, signature.outputs),
    memory,
    inputMs: writtenMs - startedMs + hopMs + readMs,
    computeMs,
    outputMs: hopMs + writeMs + performance.now() - answered,
  };
}

/** Outputs with the shapes that clients see. A shape always describes its bytes, whatever the configuration says. */
function asSeen(outputs: readonly OutputTensor[], specs: readonly ModelTensor[] = []): readonly OutputTensor[] {
  if (!specs.some(({ modelShape }) => modelShape !== undefined)) return outputs;
  return outputs.map((output) => {
    const spec = specs.find(({ name }) => name === output.name);
    return spec?.modelShape === undefined
      ? output
      : { ...output, shape: reshape(output.shape, spec.modelShape, spec.shape) };
  });
}
