/** The interface of every step: a description of its tensors, and a function of a batch. */

import type { Datatype, Shape } from '../../wire/tensor.ts';
import type { ElementRule, SessionTensor } from '../protocol.ts';
import { RunFailure } from '../run-failure.ts';

/** An input of a run: texts or binary elements for BYTES, otherwise raw bytes at an offset that suits every typed array. */
export interface StepInput {
  readonly shape: Shape;
  readonly data: Uint8Array<ArrayBuffer> | readonly string[] | readonly Uint8Array[];
}

export interface StepOutput {
  readonly shape: Shape;
  readonly data: Uint8Array | readonly string[];
  /** By row: how much of axis 1 is its own. The rest is padding up to the longest row of the run. */
  readonly rowLengths?: readonly number[];
}

export interface StepDescription {
  readonly inputs: readonly SessionTensor[];
  readonly outputs: readonly SessionTensor[];
  /** Why requests do not share a run; absent: rows lie on axis 0, and requests with rows of equal shape do. */
  readonly unbatched?: string;
  /** Rows of outputs have lengths of their own (`StepOutput.rowLengths`). */
  readonly hasRowLengths?: true;
  /** A run gives no outputs: the step has sent them before. */
  readonly isDecoupled?: boolean;
  /** Sentences on what the files of the step decided. */
  readonly notes?: readonly string[];
  /** Runs compute in threads that a library starts. */
  readonly hasOwnThreads?: true;
}

export interface Step {
  describe(): StepDescription;
  /**
   * @param inputs in the order of the description
   * @returns outputs in the order of the description
   * @throws RunFailure where the values are to blame
   */
  run(inputs: readonly StepInput[]): readonly StepOutput[] | Promise<readonly StepOutput[]>;
  /** Gives back what it holds besides memory. */
  close?(): void;
}

/** An axis is a size, a name for an open one, or `''`. */
export function tensorOf(
  name: string,
  datatype: Datatype,
  axes: readonly (number | string)[],
  elements?: ElementRule,
): SessionTensor {
  const shape = axes.map((axis) => (typeof axis === 'number' ? axis : -1));
  return { name, datatype, shape, axes, ...(elements !== undefined && { elements }) };
}

/** The values are to blame, as a kernel's refusal is. */
export function refused(message: string): RunFailure {
  return new RunFailure({ kind: 'refused', message });
}

/** @throws TypeError where the input has no texts */
export function textsOf({ data }: StepInput): readonly string[] {
  const values: Uint8Array | readonly unknown[] = data;
  if (values instanceof Uint8Array || !values.every((each) => typeof each === 'string')) {
    throw new TypeError('expected texts');
  }
  return values;
}

/** @throws TypeError where the input has no binary elements */
export function binariesOf({ data }: StepInput): readonly Uint8Array[] {
  const values: Uint8Array | readonly unknown[] = data;
  if (values instanceof Uint8Array || !values.every((each) => each instanceof Uint8Array)) {
    throw new TypeError('expected binary elements');
  }
  return values;
}

/** @throws TypeError where the input is BYTES */
export function bytesOf({ data }: StepInput): Uint8Array<ArrayBuffer> {
  if (!(data instanceof Uint8Array)) throw new TypeError('expected numbers');
  return data;
}

export function bytesOfArray({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
