/** Requests to the models whose output is their input, so that each answer shows whose it is. */

import { InferenceError, type Inputs, tensor } from '../../src/client/inference-client.ts';
import type { Caller, CallerOptions } from '../support/caller.ts';

/** Iterations that take about half a second. */
export const HALF_A_SECOND = 10_000;

/** Iterations that take about two seconds: long enough to be observed on a busy machine. */
export const LONG = 4 * HALF_A_SECOND;

/** Iterations for a run that the test kills: a busy machine finds it under way, however late it looks. */
export const UNTIL_KILLED = 40 * HALF_A_SECOND;

/** One row for the loop model, which runs about 50 us an iteration. */
export function loopInputs(value: number, iterations = 0): Inputs {
  return { iterations: tensor.int64([BigInt(iterations)], [1, 1]), input: tensor.fp32([value], [1, 1]) };
}

export interface LoopOptions extends CallerOptions {
  readonly iterations?: number;
}

/** The answer of `loop` to `value`, which has to be `value`. */
export async function askLoop(
  client: Pick<Caller, 'infer'>,
  value: number,
  options: LoopOptions = {},
): Promise<number> {
  const { iterations, ...callOptions } = options;
  const result = await client.infer('loop', loopInputs(value, iterations), callOptions);
  return result.output('output', 'FP32').data[0] ?? Number.NaN;
}

/** How a call ended that had to fail; the error of one that was answered instead. */
export async function failureOf(call: Promise<unknown>): Promise<InferenceError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof InferenceError) return error;
    throw error;
  }
  throw new Error('the call was answered');
}
