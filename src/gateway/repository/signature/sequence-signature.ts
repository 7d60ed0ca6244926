/**
 * The part of a signature that only a stateful model has: tensors that the server makes or keeps, and clients never send. Triton's
 * `ModelSequenceBatching`, resolved against the ONNX file.
 */

import { DATATYPE_BYTES, type Datatype, elementCount, type Shape } from '../../../wire/tensor.ts';
import { dataTypeOf } from '../config/data-types.ts';
import { type ModelConfig, ModelConfigError } from '../config/model-config.ts';
import { FileProblem, INITIAL_STATE_DIRECTORY, type ModelFiles } from '../model-files.ts';
import type { ModelSignature } from './model-signature.ts';
import type { ModelTensor } from './row-axis.ts';

/** A tensor that a request gives back to the next one of its sequence. */
export interface StateSpec {
  /** Index among the session's inputs. */
  readonly input: number;
  readonly outputName: string;
  /** Shape of one sequence, with a batch axis of 1 if the model has one. */
  readonly shape: Shape;
  /** Initial state of a sequence in raw form. Never changed. */
  readonly initial: Uint8Array;
}

export type Control =
  /** One of two values, in raw form. */
  | { readonly kind: 'start' | 'end' | 'ready'; readonly whenFalse: Uint8Array; readonly whenTrue: Uint8Array }
  | { readonly kind: 'correlation-id'; readonly datatype: Datatype };

export interface ControlSpec {
  /** Index among the session's inputs. */
  readonly input: number;
  readonly name: string;
  /** Shape for one sequence, without the batch axis. */
  readonly shape: Shape;
  readonly control: Control;
}

export interface SequenceSignature {
  readonly states: readonly StateSpec[];
  readonly controls: readonly ControlSpec[];
  readonly stateBytes: number;
  /** The signature without the server's own inputs and outputs. */
  readonly client: ModelSignature;
}

type SequenceConfig = NonNullable<ModelConfig['sequence_batching']>;

/**
 * @param signature of the session: with everything that is to be hidden from clients.
 * @param files initial states among them.
 * @throws ModelConfigError
 */
export function resolveSequences(
  signature: ModelSignature,
  config: ModelConfig,
  files: ModelFiles,
): SequenceSignature | undefined {
  const { sequence_batching: sequences } = config;
  if (sequences === undefined) return undefined;
  const states = sequences.state.map((state) => resolveState(state, signature, files));
  const controls = sequences.control_input.map((control) => resolveControl(control, signature));
  const own = [...states, ...controls].map(({ input }) => input);
  const twice = own.find((input, index) => own.indexOf(input) !== index);
  if (twice !== undefined) {
    throw new ModelConfigError(`sequence_batching: input '${signature.inputs[twice]?.name}' is named twice`);
  }
  const inputs = signature.inputs.filter((_, index) => !own.includes(index));
  if (inputs.length === 0) throw new ModelConfigError('sequence_batching: no input is left that clients would send');
  // As in Triton, a client sees a state only where the configuration lists it among the outputs too.
  const hidden = states.filter(({ outputName }) => !config.output.some(({ name }) => name === outputName));
  const outputs = signature.outputs.filter(({ name }) => !hidden.some(({ outputName }) => outputName === name));
  return {
    states,
    controls,
    stateBytes: states.reduce((sum, { initial }) => sum + initial.byteLength, 0),
    client: { ...signature, inputs, outputs },
  };
}

function resolveState(
  state: SequenceConfig['state'][number],
  { inputs }: ModelSignature,
  files: ModelFiles,
): StateSpec {
  const what = `sequence_batching.state '${state.input_name}'`;
  const input = inputs.findIndex(({ name }) => name === state.input_name);
  const spec = inputs[input];
  if (spec === undefined) throw new ModelConfigError(`${what} is not in the model`);
  if (spec.rowAxis === 'shared') throw new ModelConfigError(`${what} has no batch axis (tensorgate.batch_axes)`);
  const elements = elementCount(state.dims);
  const size = DATATYPE_BYTES[spec.datatype];
  if (elements === undefined || size === undefined) {
    throw new ModelConfigError(
      `${what}: expected dims of fixed sizes and a datatype of fixed size, got ${state.data_type} [${state.dims}]: the memory of all sequences is bounded beforehand`,
    );
  }
  const [initial] = state.initial_state;
  if (initial !== undefined && (initial.data_type !== state.data_type || String(initial.dims) !== String(state.dims))) {
    throw new ModelConfigError(
      `${what}: initial_state '${initial.name}' is ${initial.data_type} [${initial.dims}], expected ${state.data_type} [${state.dims}]`,
    );
  }
  return {
    input,
    outputName: state.output_name,
    shape: ofOneRow(spec),
    initial: initialBytes(initial, elements * size, what, files),
  };
}

function initialBytes(
  initial: SequenceConfig['state'][number]['initial_state'][number] | undefined,
  byteLength: number,
  what: string,
  files: ModelFiles,
): Uint8Array {
  if (initial?.data_file === undefined) return new Uint8Array(byteLength);
  const { data_file: file, name } = initial;
  if (initial.zero_data === true) {
    throw new ModelConfigError(`${what}: initial_state '${name}' has both zero_data and data_file`);
  }
  const bytes = files.get(`${INITIAL_STATE_DIRECTORY}/${file}`) ?? new FileProblem('it was not read');
  if (bytes instanceof FileProblem) throw new ModelConfigError(`${what}: data_file: ${bytes.message}`);
  if (bytes.byteLength === byteLength) return bytes;
  throw new ModelConfigError(`${what}: data_file '${file}' has ${bytes.byteLength} bytes, expected ${byteLength}`);
}

function resolveControl(
  { name, control }: SequenceConfig['control_input'][number],
  { inputs }: ModelSignature,
): ControlSpec {
  const what = `sequence_batching.control_input '${name}'`;
  const input = inputs.findIndex((spec) => spec.name === name);
  const spec = inputs[input];
  if (spec === undefined) {
    const names = inputs.map((one) => `'${one.name}'`).join(', ');
    throw new ModelConfigError(`${what} is not an input of the model, which has ${names}`);
  }
  const [said, ...more] = control;
  if (said === undefined || more.length > 0) throw new ModelConfigError(`${what}: expected one control`);
  const shape = ofOneRow(spec);
  if (elementCount(shape) !== 1 || spec.rowAxis === 'shared') {
    throw new ModelConfigError(`${what}: expected an input of one element a row, the model has [${spec.shape}]`);
  }
  return { input, name, shape, control: resolveKind(said, spec, what) };
}

type SaidControl = SequenceConfig['control_input'][number]['control'][number];

const FLAGS = {
  CONTROL_SEQUENCE_START: 'start',
  CONTROL_SEQUENCE_END: 'end',
  CONTROL_SEQUENCE_READY: 'ready',
} as const;

const CORRELATION_ID_TYPES: readonly Datatype[] = ['UINT64', 'INT64', 'UINT32', 'INT32', 'BYTES'];

function resolveKind(said: SaidControl, { datatype }: ModelTensor, what: string): Control {
  const type = dataTypeOf(datatype);
  const values = [
    ['TYPE_INT32', said.int32_false_true, (value: number | boolean) => new Int32Array([Number(value)])],
    ['TYPE_FP32', said.fp32_false_true, (value: number | boolean) => new Float32Array([Number(value)])],
    ['TYPE_BOOL', said.bool_false_true, (value: number | boolean) => Uint8Array.of(Number(value))],
  ] as const;
  const given = values.filter(([, pair]) => pair !== undefined);
  if (said.kind === 'CONTROL_SEQUENCE_CORRID') {
    if (given.length > 0) throw new ModelConfigError(`${what}: a correlation id has no false and true`);
    if (!CORRELATION_ID_TYPES.includes(datatype) || (said.data_type ?? type) !== type) {
      throw new ModelConfigError(
        `${what}: the configuration says data_type ${said.data_type}, the model has ${type}; expected one of ${CORRELATION_ID_TYPES.map(dataTypeOf).join(', ')}`,
      );
    }
    return { kind: 'correlation-id', datatype };
  }
  const [one, ...more] = given;
  if (one === undefined || more.length > 0) {
    throw new ModelConfigError(`${what}: expected one of int32_false_true, fp32_false_true, bool_false_true`);
  }
  const [expected, pair, encode] = one;
  if (expected !== type)
    throw new ModelConfigError(`${what}: the configuration says ${expected}, the model has ${type}`);
  const raw = (value: number | boolean | undefined): Uint8Array => new Uint8Array(encode(value ?? 0).buffer);
  return { kind: FLAGS[said.kind], whenFalse: raw(pair?.[0]), whenTrue: raw(pair?.[1]) };
}

/** The shape with one row, and of its open axes one element. */
function ofOneRow({ shape }: ModelTensor): Shape {
  return shape.map((size) => (size === -1 ? 1 : size));
}
