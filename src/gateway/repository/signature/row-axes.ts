/** Which axis of each tensor is the batch axis: read from the ONNX file, and from what the configuration says besides. */

import { DATATYPE_BYTES, elementCount } from '../../../wire/tensor.ts';
import type { SessionInfo, SessionTensor } from '../../../worker/protocol.ts';
import { type ModelConfig, ModelConfigError } from '../config/model-config.ts';
import type { AxisDoubt, RowAxis } from './row-axis.ts';

/** Batch axis by tensor, axis 0 omitted; or the reason why the model cannot be batched. */
export type RowAxes =
  | {
      readonly kind: 'found';
      readonly axes: ReadonlyMap<string, RowAxis>;
      readonly doubt?: AxisDoubt | undefined;
    }
  | { readonly kind: 'impossible'; readonly text: string; readonly axes: ReadonlyMap<string, RowAxis> };

/** Requests that differ in a shared tensor cannot share a batch: it is part of what they are sorted by. */
const MAX_SHARED_BYTES = 256;

interface Named {
  readonly what: string;
  readonly tensor: SessionTensor;
}

/** @throws ModelConfigError where `tensorgate.batch_axes` does not fit the model. */
export function findRowAxes({ inputs, outputs }: SessionInfo, config: ModelConfig): RowAxes {
  const tensors: readonly Named[] = [
    ...inputs.map((tensor) => ({ what: `input '${tensor.name}'`, tensor })),
    ...outputs.map((tensor) => ({ what: `output '${tensor.name}'`, tensor })),
  ];
  for (const name of config.tensorgate.batch_axes.keys()) {
    if (tensors.some(({ tensor }) => tensor.name === name)) continue;
    const names = tensors.map(({ tensor }) => `'${tensor.name}'`).join(', ');
    throw new ModelConfigError(`tensorgate.batch_axes: '${name}' is not in the model, which has ${names}`);
  }
  // Everything is checked, even if batching is already impossible.
  const given = new Map(tensors.map((named) => [named.tensor.name, said(named, config)]));
  const axes = new Map<string, RowAxis>();
  if (inputs.length === 0) return { kind: 'impossible', text: 'the model has no inputs', axes };
  const givenName = tensors.map(({ tensor }) => axisName(tensor, given.get(tensor.name))).find((name) => name !== '');
  const required = tensors.filter(({ tensor }) => tensor.initializer === undefined);
  const batchName = givenName ?? required.map(({ tensor }) => axisName(tensor, 0)).find((name) => name !== '');
  for (const named of tensors) {
    const { name } = named.tensor;
    const axis =
      given.get(name) ??
      stateAxis(named.tensor, config, axes, batchName) ??
      defaultAxis(named.tensor, batchName) ??
      (givenName === undefined ? undefined : onlyAxisNamed(named.tensor, givenName)) ??
      read(named.tensor, batchName);
    if (axis === undefined) return { kind: 'impossible', text: obstacle(named), axes };
    if (named.tensor.initializer !== undefined && typeof axis === 'number' && !isOneRow(named.tensor, axis)) {
      const text = `the default of ${named.what} has the shape [${named.tensor.initializer.shape}], which is not one row`;
      return { kind: 'impossible', text, axes };
    }
    if (axis === 0) continue;
    if (axis !== 'shared' && named.tensor.datatype === 'BYTES') {
      return { kind: 'impossible', text: `${named.what} holds texts, which can only be stacked along axis 0`, axes };
    }
    axes.set(name, axis);
  }
  const doubt = doubtOf(
    tensors.filter(({ tensor }) => given.get(tensor.name) === undefined),
    axes,
  );
  return { kind: 'found', axes, doubt };
}

/** The name of an axis; `''`: it has none. */
function axisName({ axes }: SessionTensor, axis: RowAxis | undefined): string {
  const name = typeof axis === 'number' ? axes[axis] : undefined;
  return typeof name === 'string' ? name : '';
}

function said({ what, tensor }: Named, { tensorgate }: ModelConfig): RowAxis | undefined {
  const axis = tensorgate.batch_axes.get(tensor.name);
  if (axis === undefined) return undefined;
  if (axis !== 'none') {
    if (tensor.shape[axis] === -1) return axis;
    throw new ModelConfigError(
      `tensorgate.batch_axes: ${what} has the shape [${tensor.shape}], whose axis ${axis} is not open`,
    );
  }
  const bytes = (elementCount(tensor.shape) ?? Number.NaN) * (DATATYPE_BYTES[tensor.datatype] ?? Number.NaN);
  if (bytes <= MAX_SHARED_BYTES || what.startsWith('output') || tensor.initializer !== undefined) return 'shared';
  throw new ModelConfigError(
    `tensorgate.batch_axes: ${what} is ${tensor.datatype} of shape [${tensor.shape}], but one value for all rows must have a fixed size of at most ${MAX_SHARED_BYTES} bytes`,
  );
}

/**
 * The axis that a state's tensor has beyond its dims. With several, the axis of the state's input, which is found first;
 * otherwise the axis with the batch axis' name; otherwise the first.
 */
function stateAxis(
  { name, shape, axes: names }: SessionTensor,
  { sequence_batching: sequences }: ModelConfig,
  found: ReadonlyMap<string, RowAxis>,
  batchName: string | undefined,
): number | undefined {
  const state = sequences?.state.find(({ input_name, output_name }) => name === input_name || name === output_name);
  if (state === undefined || shape.length !== state.dims.length + 1) return undefined;
  const candidates = shape.flatMap((size, axis) => {
    const row = shape.toSpliced(axis, 1);
    return size === -1 && row.every((other, at) => other === -1 || other === state.dims[at]) ? [axis] : [];
  });
  const ofInput = name === state.input_name ? undefined : (found.get(state.input_name) ?? 0);
  return (
    candidates.find((axis) => axis === ofInput) ??
    candidates.find((axis) => batchName !== undefined && names[axis] === batchName) ??
    candidates[0]
  );
}

/**
 * An input with a default is stacked where it has the batch axis; otherwise one value serves all rows of a batch.
 * @returns undefined for other tensors
 */
function defaultAxis(tensor: SessionTensor, batchName: string | undefined): RowAxis | undefined {
  if (tensor.initializer === undefined) return undefined;
  if (tensor.shape[0] !== -1) return 'shared';
  const name = axisName(tensor, 0);
  if (name === batchName) return 0;
  return name === '' && isOneRow(tensor, 0) ? 0 : 'shared';
}

/** Whether the default of an input can be repeated for each row. */
function isOneRow({ initializer: value, shape }: SessionTensor, axis: number): boolean {
  return axis === 0 && value?.shape.length === shape.length && value.shape[0] === 1;
}

/** Axis 0 if it is open; otherwise the later axis with the batch axis' name. */
function read(tensor: SessionTensor, batchName: string | undefined): number | undefined {
  const first = tensor.axes[0];
  if (typeof first === 'string' || (first !== undefined && first < 0)) return 0;
  return batchName === undefined ? undefined : onlyAxisNamed(tensor, batchName);
}

function onlyAxisNamed({ axes }: SessionTensor, name: string): number | undefined {
  const at = axes.indexOf(name);
  return at >= 0 && at === axes.lastIndexOf(name) ? at : undefined;
}

function obstacle({ what, tensor }: Named): string {
  const [first] = tensor.axes;
  return first === undefined ? `${what} is a scalar` : `${what} has a fixed first axis (${first})`;
}

function doubtOf(tensors: readonly Named[], axes: ReadonlyMap<string, RowAxis>): AxisDoubt | undefined {
  let named: (Named & { readonly axis: string }) | undefined;
  let text: string | undefined;
  const inputs = new Set<string>();
  for (const { what, tensor } of tensors) {
    const at = axes.get(tensor.name) ?? 0;
    const axis = axisName(tensor, at);
    if (axis === '') continue;
    named ??= { what, tensor, axis };
    if (axis === named.axis) continue;
    const which = at === 0 ? 'first axis' : `axis ${at}`;
    text ??= `the ${which} of ${what} is '${axis}', but it is '${named.axis}' for ${named.what}`;
    if (what.startsWith('input')) inputs.add(tensor.name);
  }
  return text === undefined ? undefined : { text, inputs };
}
