/** A model that is a function: its description, and the types that follow from it. */

import type { Tensor } from '../client/tensor.ts';
import type { Datatype, Shape } from '../wire/tensor.ts';

export interface FakeTensor {
  readonly datatype: Datatype;
  /** The whole shape, as clients see it; -1 is any size. */
  readonly shape: Shape;
  /** Classes of an output, for the classification extension and generated clients. */
  readonly labels?: readonly string[];
}

export type FakeTensors = Readonly<Record<string, FakeTensor>>;

/** The tensors of a request or an answer, by name. */
export type FakeValues<Tensors extends FakeTensors> = {
  readonly [Name in keyof Tensors]: Tensor<Tensors[Name]['datatype']>;
};

export interface FakeModel<Inputs extends FakeTensors = FakeTensors, Outputs extends FakeTensors = FakeTensors> {
  readonly inputs: Inputs;
  readonly outputs: Outputs;
  /** Most rows of a request. Axis 0 of every tensor counts rows then, and is -1. Default 0: the model has no rows. */
  readonly maxBatchSize?: number;
  /**
   * Answers one request: requests are not joined. What it throws fails the call with INTERNAL and the text of the error.
   * @param signal is aborted when the caller is gone or the deadline has passed
   */
  run(inputs: FakeValues<Inputs>, signal: AbortSignal): FakeValues<Outputs> | Promise<FakeValues<Outputs>>;
}

/** Returns `model`. The types of the tensors in `run` follow from `inputs` and `outputs`. */
export function fakeModel<const Inputs extends FakeTensors, const Outputs extends FakeTensors>(
  model: FakeModel<Inputs, Outputs>,
): FakeModel<Inputs, Outputs> {
  return model;
}
