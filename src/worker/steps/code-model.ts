/** The types of a code model: a module that exports `infer`, and perhaps `load`. Users import them from `tensorgate/step`. */

import type { Datatype, Shape } from '../../wire/tensor.ts';

export type { Datatype, Shape } from '../../wire/tensor.ts';

/** FP16 is the bits of its values in a Uint16Array; BOOL is 0 and 1 in a Uint8Array; BYTES is texts. */
export type TensorData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array
  | readonly string[];

/** `data` is a view that is valid until the answer is given: copy it to keep it longer. */
export interface Tensor<Data extends TensorData = TensorData> {
  readonly datatype: Datatype;
  /** Without the batch axis. */
  readonly shape: Shape;
  readonly data: Data;
}

/** The inputs of one row, by name. Without `max_batch_size`, a request is one row. */
export type Row = Readonly<Record<string, Tensor>>;

/** Values without a shape take the `dims` of the configuration; one of them may be open. */
export type OutputValue =
  | TensorData
  | readonly (number | bigint | boolean)[]
  | { readonly shape: Shape; readonly data: TensorData | readonly (number | bigint | boolean)[] };

/** The outputs of one row, by name. */
export type OutputRow = Readonly<Record<string, OutputValue>>;

export interface ModelContext {
  readonly name: string;
  readonly version: string;
  /** The folder of the version, in which the module lies. */
  readonly directory: string;
  /** `parameters` of the configuration. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface CallOptions {
  /** Default: the version that a client without a version gets. */
  readonly version?: string;
  /** Milliseconds that the call may take. It never outlasts the callers of this run. */
  readonly deadlineMs?: number;
}

export interface InferContext extends ModelContext {
  /** Aborts when no caller waits for this run any more. */
  readonly signal: AbortSignal;
  /**
   * Calls another model of the server, with whole tensors: of a batched model with the batch axis. The call waits in the queue of
   * that model, and counts in its statistics. Rejects with an Error that has the `reason` and the `status` of the failure.
   */
  infer(
    model: string,
    inputs: Readonly<Record<string, Tensor>>,
    options?: CallOptions,
  ): Promise<Readonly<Record<string, Tensor>>>;
  /** An error to throw where the caller is to blame: the status is INVALID_ARGUMENT. Other errors are INTERNAL. */
  invalidInput(message: string): Error;
}

/** Runs once in each instance, before it serves. */
export type Load = (context: ModelContext) => void | Promise<void>;

/** Answers rows of one or several requests, in their order. A throw fails the requests; those beside the failed one run again. */
export type Infer = (
  rows: readonly Row[],
  context: InferContext,
) => readonly OutputRow[] | Promise<readonly OutputRow[]>;

export interface StreamContext extends InferContext {
  /** Sends an answer. Resolves when the caller has taken it, and rejects when no caller waits any more. */
  send(answer: OutputRow): Promise<void>;
}

/** Answers one request of a decoupled model any number of times: by an async generator, or by `context.send`. */
export type StreamInfer = (
  rows: readonly Row[],
  context: StreamContext,
) => AsyncIterable<OutputRow> | Iterable<OutputRow> | Promise<void>;
