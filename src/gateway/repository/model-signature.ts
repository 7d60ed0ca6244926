/** What a model version takes and gives: the ONNX file's description, with the configuration merged over it. */

import fs from 'node:fs';
import path from 'node:path';
import type { Datatype, TensorSpec } from '../../wire/tensor.ts';
import type { SessionInfo, SessionTensor } from '../../worker/protocol.ts';
import { DEFAULT_MAX_BATCH_SIZE, type ModelConfig, ModelConfigError } from './model-config.ts';

/** Whether requests are stacked along axis 0, and how far; or why they are not. */
export type Batching =
  | { readonly kind: 'on'; readonly maxRows: number }
  | { readonly kind: 'off'; readonly reason: string };

export interface OutputSpec extends TensorSpec {
  readonly labelFilename: string | undefined;
  /** In the order of the elements of a row; empty without a label file. */
  readonly labels: readonly string[];
}

export interface ModelSignature {
  /** Whole shapes: with batching, axis 0 is -1. */
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly OutputSpec[];
  readonly batching: Batching;
}

/** Triton's names of the datatypes. */
const DATA_TYPES: Readonly<Record<Exclude<Datatype, 'BF16'>, string>> = {
  BOOL: 'TYPE_BOOL',
  UINT8: 'TYPE_UINT8',
  UINT16: 'TYPE_UINT16',
  UINT32: 'TYPE_UINT32',
  UINT64: 'TYPE_UINT64',
  INT8: 'TYPE_INT8',
  INT16: 'TYPE_INT16',
  INT32: 'TYPE_INT32',
  INT64: 'TYPE_INT64',
  FP16: 'TYPE_FP16',
  FP32: 'TYPE_FP32',
  FP64: 'TYPE_FP64',
  BYTES: 'TYPE_STRING',
};

/** The name of a datatype in Triton's model configuration. */
export function dataTypeOf(datatype: Datatype): string {
  return datatype === 'BF16' ? 'TYPE_BF16' : DATA_TYPES[datatype];
}

/**
 * @param directory where label files lie.
 * @throws ModelConfigError where the configuration contradicts the ONNX file; the text shows both sides.
 */
export function resolveSignature(info: SessionInfo, config: ModelConfig, directory: string): ModelSignature {
  const batching = resolveBatching(info, config);
  for (const [kind, tensors] of [
    ['input', info.inputs],
    ['output', info.outputs],
  ] as const) {
    for (const said of config[kind]) checkAgainst(kind, said, tensors, batching);
  }
  return {
    inputs: info.inputs.map((tensor) => merged(tensor, config.input, batching)),
    outputs: info.outputs.map((tensor) => {
      const labelFilename = config.output.find(({ name }) => name === tensor.name)?.label_filename;
      const labels = readLabels(directory, labelFilename);
      return { ...merged(tensor, config.output, batching), labelFilename, labels };
    }),
    batching,
  };
}

/** Reads from the ONNX file whether axis 0 is a batch axis. That rows are independent of each other is verified later, by running. */
function resolveBatching(info: SessionInfo, config: ModelConfig): Batching {
  if (config.max_batch_size === 0) return { kind: 'off', reason: 'the configuration says max_batch_size: 0' };
  const obstacle = firstObstacle(info);
  if (obstacle === undefined) return { kind: 'on', maxRows: config.max_batch_size ?? DEFAULT_MAX_BATCH_SIZE };
  if (config.max_batch_size !== undefined && obstacle.kind === 'impossible') {
    throw new ModelConfigError(
      `max_batch_size is ${config.max_batch_size}, but the model cannot be batched: ${obstacle.text}; set max_batch_size: 0, or remove it`,
    );
  }
  if (config.max_batch_size !== undefined) return { kind: 'on', maxRows: config.max_batch_size };
  return { kind: 'off', reason: obstacle.text };
}

interface Obstacle {
  /** `doubtful`: the names of the axes say no, but the configuration may know better. */
  readonly kind: 'impossible' | 'doubtful';
  readonly text: string;
}

function firstObstacle({ inputs, outputs }: SessionInfo): Obstacle | undefined {
  const tensors = [
    ...inputs.map((tensor) => ({ what: `input '${tensor.name}'`, tensor })),
    ...outputs.map((tensor) => ({ what: `output '${tensor.name}'`, tensor })),
  ];
  if (inputs.length === 0) return { kind: 'impossible', text: 'the model has no inputs' };
  for (const { what, tensor } of tensors) {
    const axis = tensor.axes[0];
    if (axis === undefined) return { kind: 'impossible', text: `${what} is a scalar` };
    if (typeof axis === 'number' && axis >= 0)
      return { kind: 'impossible', text: `${what} has a fixed first axis (${axis})` };
  }
  const named = tensors.find(({ tensor }) => isNamed(tensor));
  const other = tensors.find(({ tensor }) => isNamed(tensor) && tensor.axes[0] !== named?.tensor.axes[0]);
  if (named === undefined || other === undefined) return undefined;
  const text = `the first axis of ${other.what} is '${other.tensor.axes[0]}', and not '${named.tensor.axes[0]}' as that of ${named.what}`;
  return { kind: 'doubtful', text };
}

function isNamed(tensor: SessionTensor): boolean {
  return typeof tensor.axes[0] === 'string' && tensor.axes[0] !== '';
}

function checkAgainst(
  kind: 'input' | 'output',
  said: ModelConfig['input'][number],
  tensors: readonly SessionTensor[],
  batching: Batching,
): void {
  const tensor = tensors.find(({ name }) => name === said.name);
  if (tensor === undefined) {
    const names = tensors.map(({ name }) => `'${name}'`).join(', ');
    throw new ModelConfigError(`${kind} '${said.name}' is not in the model, which has ${names}`);
  }
  const type = dataTypeOf(tensor.datatype);
  if (said.data_type !== undefined && said.data_type !== type) {
    throw new ModelConfigError(
      `${kind} '${said.name}': the configuration says data_type ${said.data_type}, the model has ${type}`,
    );
  }
  if (said.dims === undefined) return;
  const shape = batching.kind === 'on' ? tensor.shape.slice(1) : tensor.shape;
  const fits =
    said.dims.length === shape.length && shape.every((size, axis) => size === -1 || said.dims?.[axis] === size);
  if (fits) return;
  const hint =
    batching.kind === 'on' && said.dims.length === tensor.shape.length
      ? '; leave the batch axis out when max_batch_size > 0'
      : '';
  throw new ModelConfigError(
    `${kind} '${said.name}': the configuration says dims [${said.dims}], the model has [${shape}]${hint}`,
  );
}

/** The tensor, with the sizes that the configuration says of axes which the model leaves open. */
function merged({ name, datatype, shape }: SessionTensor, said: ModelConfig['input'], batching: Batching): TensorSpec {
  const dims = said.find((tensor) => tensor.name === name)?.dims;
  if (dims === undefined) return { name, datatype, shape };
  return { name, datatype, shape: batching.kind === 'on' ? [-1, ...dims] : dims };
}

function readLabels(directory: string, filename: string | undefined): readonly string[] {
  if (filename === undefined) return [];
  if (path.basename(filename) !== filename)
    throw new ModelConfigError(`label_filename '${filename}': expected a file name without directories`);
  try {
    const lines = fs.readFileSync(path.join(directory, filename), 'utf8').split(/\r?\n/);
    // What follows the last line break is no line; an empty line in between is an element without a label.
    return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  } catch (error) {
    throw new ModelConfigError(
      `label_filename '${filename}' cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
