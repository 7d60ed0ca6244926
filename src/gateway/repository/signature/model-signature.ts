/** Inputs and outputs of a model version: the ONNX file's description, with the configuration merged over it. */

import type { Datatype, Shape } from '../../../wire/tensor.ts';
import { decodeText } from '../../../wire/text-encoding.ts';
import type { SessionInfo, SessionTensor } from '../../../worker/protocol.ts';
import { dataTypeOf } from '../config/data-types.ts';
import { DEFAULT_MAX_BATCH_SIZE, type ModelConfig, ModelConfigError } from '../config/model-config.ts';
import { FileProblem, type ModelFiles, NO_FILES } from '../model-files.ts';
import { defaultOf } from './default-value.ts';
import { findLengthAxis, type LengthAxis, type Padding } from './length-axis.ts';
import { probeShapeOf } from './probe-shape.ts';
import { findRowAxes, type RowAxes } from './row-axes.ts';
import { type AxisDoubt, type ModelTensor, type RowAxis, shapeOfRow, shapeOfRows } from './row-axis.ts';

/** Whether requests are stacked, and how far; or why they are not. */
export type Batching =
  | {
      readonly kind: 'on';
      /** Most rows of a batch. */
      readonly maxRows: number;
      /** Most rows of a request, if larger requests are split; absent if they are refused. */
      readonly requestRows?: number | undefined;
      /** Axis names that speak against a batch axis; absent if there are none, or if the configuration decides. */
      readonly doubt?: AxisDoubt | undefined;
      /** Absent where no axis of the model is a length. */
      readonly padding?: Padding | undefined;
    }
  | { readonly kind: 'off'; readonly reason: string };

export interface OutputSpec extends ModelTensor {
  readonly labelFilename: string | undefined;
  /** In the order of the elements of a row; empty without a label file. */
  readonly labels: readonly string[];
}

export interface ModelSignature {
  /** Whole shapes: with batching, the row axis is -1. */
  readonly inputs: readonly ModelTensor[];
  readonly outputs: readonly OutputSpec[];
  readonly batching: Batching;
  /** Inputs of the configuration that keep the default which the model has for them: no request may bring them. */
  readonly fixedInputs?: readonly string[];
}

export interface SignatureSources {
  readonly files: ModelFiles;
  /** Inputs of the graph that have a default in the model: sessions do not report them. */
  readonly initializers: ReadonlySet<string>;
}

const NO_SOURCES: SignatureSources = { files: NO_FILES, initializers: new Set() };

/** @throws ModelConfigError where the configuration contradicts the ONNX file; the text shows both sides. */
export function resolveSignature(
  info: SessionInfo,
  config: ModelConfig,
  { files, initializers }: SignatureSources = NO_SOURCES,
): ModelSignature {
  checkOptional(config, info, initializers);
  const fixedInputs = config.input.filter(({ name }) => initializers.has(name)).map(({ name }) => name);
  const found = findRowAxes(info, config);
  const batching = resolveBatching(found, config, info);
  const said = saidOf(config);
  const { probe_values: values, probe_shape: shapes } = config.tensorgate;
  const probed = [...values.keys(), ...shapes.keys()].map((name) => ({ name }));
  const required = said.input.filter(({ name }) => !fixedInputs.includes(name));
  checkNames('input', [...required, ...probed], info.inputs);
  checkNames('output', said.output, info.outputs);
  for (const { name, datatype } of info.inputs) {
    if (!values.has(name) || !NOT_PROBED.has(datatype)) continue;
    throw new ModelConfigError(
      `tensorgate.probe_values: input '${name}' is ${datatype}, which takes no value of yours`,
    );
  }
  const inputs = info.inputs.map((tensor) => {
    const input = resolveTensor('input', tensor, said.input, batching, found.axes.get(tensor.name));
    const probeValue = values.get(tensor.name);
    const probeShape = probeShapeOf(input, shapes.get(tensor.name), batching.kind === 'on');
    const value = defaultOf(tensor);
    return {
      ...input,
      ...(value && { default: value }),
      ...(tensor.elements && { elements: tensor.elements }),
      ...(probeValue !== undefined && { probeValue }),
      ...(probeShape && { probeShape }),
    };
  });
  return {
    inputs,
    outputs: info.outputs.filter(isListed(config)).map((tensor) => {
      // An empty name is none: so ModelConfig answers it, and clients send it back.
      const labelFilename = config.output.find(({ name }) => name === tensor.name)?.label_filename || undefined;
      const labels = readLabels(files, labelFilename);
      const output = resolveTensor('output', tensor, said.output, batching, found.axes.get(tensor.name));
      return { ...output, labelFilename, labels };
    }),
    batching: withPadding(batching, findLengthAxis(info, inputs, config), config),
    ...(fixedInputs.length > 0 && { fixedInputs }),
  };
}

/** The outputs to compute, where the configuration lists any: those, and the states of sequences. */
export function neededOutputs({ output, sequence_batching: sequences }: ModelConfig): readonly string[] | undefined {
  if (output.length === 0) return undefined;
  const states = (sequences?.state ?? []).map(({ output_name }) => output_name);
  return [...new Set([...output.map(({ name }) => name), ...states])];
}

/** A configuration that lists outputs narrows the model to them. */
function isListed(config: ModelConfig): (tensor: SessionTensor) => boolean {
  const needed = neededOutputs(config);
  return ({ name }) => needed === undefined || needed.includes(name);
}

/** A session without a required input does not run. */
function checkOptional({ input }: ModelConfig, { inputs }: SessionInfo, initializers: ReadonlySet<string>): void {
  const hasNone = (name: string): boolean =>
    inputs.some((tensor) => tensor.name === name && tensor.initializer === undefined);
  const needed = input.find(({ name, optional }) => optional === true && hasNone(name));
  if (needed !== undefined && !initializers.has(needed.name)) {
    throw new ModelConfigError(
      `input '${needed.name}' is optional in the configuration, but the model has no default for it: remove optional, or give it an initializer in the model`,
    );
  }
}

/** Datatypes that no plain number describes. */
const NOT_PROBED: ReadonlySet<Datatype> = new Set(['BOOL', 'BYTES', 'FP16', 'BF16']);

interface Said {
  readonly name: string;
  readonly data_type?: string | undefined;
  readonly dims?: Shape | undefined;
  /** Shape inside the model, if clients see other `dims`. */
  readonly reshape?: { readonly shape: Shape } | undefined;
}

type Kind = 'input' | 'output';

/** Applies the settings of a state to its input and its output. */
function saidOf({ input, output, sequence_batching: sequences }: ModelConfig): Record<Kind, readonly Said[]> {
  const states = sequences?.state ?? [];
  return {
    input: [...input, ...states.map(({ input_name: name, data_type, dims }) => ({ name, data_type, dims }))],
    output: [...output, ...states.map(({ output_name: name, data_type, dims }) => ({ name, data_type, dims }))],
  };
}

/** Reads from the ONNX file whether there is a batch axis. That rows are independent of each other is verified later, by running. */
function resolveBatching(found: RowAxes, config: ModelConfig, info: SessionInfo): Batching {
  if (info.unbatched !== undefined && !config.max_batch_size) return { kind: 'off', reason: info.unbatched };
  if (config.max_batch_size === 0) return { kind: 'off', reason: 'the configuration says max_batch_size: 0' };
  if (found.kind === 'found' && info.unbatched === undefined) {
    if (config.max_batch_size === undefined && givesWholeShapes(config, info)) {
      return { kind: 'off', reason: 'the configuration gives whole shapes, and no max_batch_size' };
    }
    const { max_batch_size: maxRows = info.hasRowLengths ? MAX_PARTS : DEFAULT_MAX_BATCH_SIZE } = config;
    const doubt = config.max_batch_size === undefined ? found.doubt : undefined;
    // The parts of a split request would have unlike lengths.
    const requestRows = splits(config) && !info.hasRowLengths ? MAX_PARTS * maxRows : undefined;
    return { kind: 'on', maxRows, ...(requestRows && { requestRows }), ...(doubt && { doubt }) };
  }
  const text = info.unbatched ?? (found.kind === 'impossible' ? found.text : '');
  if (config.max_batch_size !== undefined) {
    throw new ModelConfigError(
      `max_batch_size is ${config.max_batch_size}, but the model cannot be batched: ${text}; set max_batch_size: 0, or remove it`,
    );
  }
  return { kind: 'off', reason: text };
}

/** A request may be as large as so many batches: a row may have few bytes, or none, and each part costs memory of its own. */
const MAX_PARTS = 1_024;

/** Rows of a sequence depend on each other. */
function splits({ tensorgate, sequence_batching: sequences }: ModelConfig): boolean {
  return tensorgate.split && sequences === undefined;
}

/** Where each request runs by itself, and where the next request of a sequence depends on this one's length, nothing is padded. */
function withPadding(batching: Batching, padding: Padding | undefined, config: ModelConfig): Batching {
  const isAlone = batching.kind === 'off' || batching.maxRows === 1 || config.sequence_batching !== undefined;
  return isAlone || padding === undefined ? batching : { ...batching, padding };
}

/** The length axis of a model whose requests are padded to share a batch. */
export function lengthsOf(batching: Batching): LengthAxis | undefined {
  return batching.kind === 'on' && batching.padding?.kind === 'on' ? batching.padding.lengths : undefined;
}

/** In Triton's text form no size is the same as 0: `dims` then have every axis, also the first. */
function givesWholeShapes({ input, output }: ModelConfig, { inputs, outputs }: SessionInfo): boolean {
  const tensors = [...inputs, ...outputs];
  const ranks = [...input, ...output].flatMap(({ name, dims, reshape }) => {
    const rank = (reshape?.shape ?? dims)?.length;
    const whole = tensors.find((tensor) => tensor.name === name)?.shape.length;
    return rank === undefined || whole === undefined ? [] : [{ rank, whole }];
  });
  return ranks.length > 0 && ranks.every(({ rank, whole }) => rank === whole);
}

function checkNames(kind: Kind, said: readonly Said[], tensors: readonly SessionTensor[]): void {
  const unknown = said.find(({ name }) => !tensors.some((tensor) => tensor.name === name));
  if (unknown === undefined) return;
  const names = tensors.map(({ name }) => `'${name}'`).join(', ');
  throw new ModelConfigError(`${kind} '${unknown.name}' is not in the model, which has ${names}`);
}

/** The tensor, with the sizes that the configuration says of axes which the model leaves open. */
function resolveTensor(
  kind: Kind,
  tensor: SessionTensor,
  allSaid: readonly Said[],
  batching: Batching,
  rowAxis: RowAxis | undefined,
): ModelTensor {
  const said = allSaid.filter(({ name }) => name === tensor.name);
  for (const one of said) checkAgainst(kind, one, tensor, batching, rowAxis);
  const { name, datatype, shape } = tensor;
  const dims = said.find((one) => one.dims !== undefined)?.dims;
  const reshaped = said.find(({ reshape }) => reshape !== undefined)?.reshape?.shape;
  if (dims !== undefined && reshaped !== undefined) {
    if (batching.kind === 'off') return { name, datatype, shape: dims, modelShape: reshaped };
    if (rowAxis === undefined) return { name, datatype, shape: [-1, ...dims], modelShape: [-1, ...reshaped] };
    throw new ModelConfigError(`${kind} '${name}': reshape needs the rows on axis 0`);
  }
  if (batching.kind === 'off') return { name, datatype, shape: dims ?? shape };
  const resolved = { name, datatype, shape: dims === undefined ? shape : shapeOfRows(dims, -1, rowAxis) };
  return rowAxis === undefined ? resolved : { ...resolved, rowAxis };
}

function checkAgainst(
  kind: Kind,
  said: Said,
  tensor: SessionTensor,
  batching: Batching,
  rowAxis: RowAxis | undefined,
): void {
  const type = dataTypeOf(tensor.datatype);
  if (said.data_type !== undefined && said.data_type !== type) {
    throw new ModelConfigError(
      `${kind} '${said.name}': the configuration says data_type ${said.data_type}, the model has ${type}`,
    );
  }
  const dims = said.reshape?.shape ?? said.dims;
  if (dims === undefined) return;
  const shape = batching.kind === 'on' ? shapeOfRow(tensor.shape, rowAxis) : tensor.shape;
  const fits = dims.length === shape.length && shape.every((size, axis) => size === -1 || dims[axis] === size);
  if (fits) return;
  const hint =
    batching.kind === 'on' && dims.length === tensor.shape.length
      ? '; leave the batch axis out when max_batch_size > 0'
      : '';
  throw new ModelConfigError(
    `${kind} '${said.name}': the configuration says ${said.reshape === undefined ? 'dims' : 'the shape'} [${dims}], the model has [${shape}]${hint}`,
  );
}

/** One label a line. @throws ModelConfigError */
export function readLabels(files: ModelFiles, filename: string | undefined): readonly string[] {
  if (filename === undefined) return [];
  const content = files.get(filename) ?? new FileProblem('it was not read');
  if (content instanceof FileProblem) throw new ModelConfigError(`label_filename '${filename}': ${content.message}`);
  const lines = decodeText(content).split(/\r?\n/);
  // The rest behind the last line break is no line; an empty line in between is an element without a label.
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}
