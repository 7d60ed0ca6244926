/**
 * The axis along which requests of one model differ in length (tokens, mostly), and what pads them to one length: declared by
 * `tensorgate.padding`, or found. That padding changes no answer is verified later, by running.
 */

import type { SessionInfo, SessionTensor } from '../../../worker/protocol.ts';
import { type ModelConfig, ModelConfigError } from '../config/model-config.ts';
import { fillerOf } from './pad-value.ts';
import type { ModelTensor } from './row-axis.ts';

export interface PaddedInput {
  readonly axis: number;
  /** The pad value again and again, in raw form. */
  readonly filler: Uint8Array;
}

export interface LengthAxis {
  /** By index among the session's inputs. */
  readonly inputs: ReadonlyMap<number, PaddedInput>;
  /** Index of the input by which the model knows padding from values: mostly a mask. */
  readonly mask: number;
  /** By name: the axes of an output that are as long as the inputs. Known once the model has run. */
  readonly outputs: ReadonlyMap<string, readonly number[]>;
}

/** Whether requests of unlike length are padded to share a batch; or why they are not. */
export type Padding =
  | { readonly kind: 'on'; readonly lengths: LengthAxis }
  | { readonly kind: 'off'; readonly reason: string };

/** True for `attention_mask`, `input_mask:0` and `mask`, not for `masked_lm_ids`. */
export function isMask(name: string): boolean {
  return /mask(?!ed)/i.test(name);
}

/** Where exporters of text encoders have the length: behind the batch axis. */
const USUAL_AXIS = 1;

/**
 * @param inputs as the configuration narrows them, in the order of the session's.
 * @returns `undefined` where the model has no length axis.
 * @throws ModelConfigError where `tensorgate.padding` does not fit the model.
 */
export function findLengthAxis(
  info: SessionInfo,
  inputs: readonly ModelTensor[],
  { tensorgate: { padding } }: ModelConfig,
): Padding | undefined {
  if (padding?.size === 0) return { kind: 'off', reason: 'the configuration says tensorgate.padding: {}' };
  const tensors = inputs.map((input, index) => ({ input, index, axes: axisNames(info.inputs[index]) }));
  return padding === undefined ? found(tensors) : declared(tensors, padding);
}

interface Candidate {
  readonly input: ModelTensor;
  readonly index: number;
  /** `''`: without a name. */
  readonly axes: readonly string[];
}

function axisNames(tensor: SessionTensor | undefined): readonly string[] {
  return (tensor?.axes ?? []).map((axis) => (typeof axis === 'string' ? axis : ''));
}

function openAxes({ shape, rowAxis = 0 }: ModelTensor): number[] {
  return shape.flatMap((size, axis) => (size === -1 && axis !== rowAxis ? [axis] : []));
}

/** The open second axis of one name in every input that has an open axis besides its rows; one of them must be a mask. */
function found(tensors: readonly Candidate[]): Padding | undefined {
  const long = tensors.filter(({ input }) => openAxes(input).length > 0);
  const name = long[0]?.axes[USUAL_AXIS];
  const isOne = long.every(
    ({ input, axes }) =>
      input.rowAxis === undefined && String(openAxes(input)) === String(USUAL_AXIS) && axes[USUAL_AXIS] === name,
  );
  if (name === undefined || !isOne) return undefined;
  const reshaped = long.find(({ input }) => input.modelShape !== undefined);
  if (reshaped !== undefined) {
    return { kind: 'off', reason: `input '${reshaped.input.name}' has another shape inside the model (reshape)` };
  }
  const mask = long.find(({ input }) => isMask(input.name));
  if (mask === undefined) {
    const reason =
      'no input is named like a mask, by which the model would know padding from values (tensorgate.padding names inputs to pad)';
    return { kind: 'off', reason };
  }
  const padded = new Map<number, PaddedInput>();
  for (const { input, index } of long) {
    const filler = fillerOf(input.datatype, 0);
    if (filler === undefined) return { kind: 'off', reason: `input '${input.name}' is ${input.datatype}` };
    padded.set(index, { axis: USUAL_AXIS, filler });
  }
  return { kind: 'on', lengths: { inputs: padded, mask: mask.index, outputs: new Map() } };
}

/** The inputs that the configuration names, and with 0 those whose axis has the same name. */
function declared(tensors: readonly Candidate[], values: ReadonlyMap<string, number>): Padding {
  for (const name of values.keys()) {
    if (tensors.some(({ input }) => input.name === name)) continue;
    const names = tensors.map(({ input }) => `'${input.name}'`).join(', ');
    throw new ModelConfigError(`tensorgate.padding: '${name}' is not an input of the model, which has ${names}`);
  }
  const padded = new Map<number, PaddedInput>();
  let name: string | undefined;
  for (const { input, index, axes } of tensors) {
    const value = values.get(input.name);
    if (value === undefined) continue;
    const axis = declaredAxis(input, axes, name);
    name ??= axes[axis];
    padded.set(index, { axis, filler: declaredFiller(input, value) });
  }
  for (const { input, index, axes } of tensors) {
    const axis = name === undefined || name === '' ? -1 : axes.indexOf(name);
    const filler = fillerOf(input.datatype, 0);
    if (padded.has(index) || input.rowAxis !== undefined || input.modelShape !== undefined) continue;
    if (filler === undefined) continue;
    if (!openAxes(input).includes(axis)) continue;
    padded.set(index, { axis, filler });
  }
  const [first = 0] = padded.keys();
  const mask = tensors.find(({ input, index }) => padded.has(index) && isMask(input.name))?.index ?? first;
  return { kind: 'on', lengths: { inputs: padded, mask, outputs: new Map() } };
}

/** The axis of the name that was found in an input before; otherwise the first open one behind the rows. */
function declaredAxis(input: ModelTensor, axes: readonly string[], name: string | undefined): number {
  const { shape, rowAxis } = input;
  const open = openAxes(input);
  const what = `tensorgate.padding: input '${input.name}'`;
  if (rowAxis !== undefined) {
    const where = rowAxis === 'shared' ? 'has one value for all rows' : `has its rows on axis ${rowAxis}`;
    throw new ModelConfigError(`${what} ${where}: only inputs with rows on axis 0 are padded`);
  }
  if (input.modelShape !== undefined) {
    throw new ModelConfigError(`${what} has another shape inside the model (reshape): its length axis is not known`);
  }
  const named = name === undefined || name === '' ? -1 : axes.indexOf(name);
  const axis = open.includes(named) ? named : open[0];
  if (axis !== undefined) return axis;
  throw new ModelConfigError(`${what} has the shape [${shape}]: expected an open axis other than the batch axis`);
}

function declaredFiller({ name, datatype }: ModelTensor, value: number): Uint8Array {
  const filler = fillerOf(datatype, value);
  if (filler !== undefined) return filler;
  throw new ModelConfigError(
    datatype === 'BYTES'
      ? `tensorgate.padding: input '${name}' is BYTES: only datatypes of a fixed size are padded`
      : `tensorgate.padding: input '${name}' is ${datatype}, which cannot hold ${value}`,
  );
}
