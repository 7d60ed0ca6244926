/**
 * ONNX models on disk: one protobuf message (onnx.ai, IR specification), and beside it, where tensors are stored as external
 * data, the files that hold their bytes.
 *
 * A model in memory has the bytes of all its tensors in it, wherever they came from.
 */

import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { clearField, create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { messageOf } from '../../error-message.ts';
import {
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
} from '../../onnx/onnx_pb.ts';
import { CompressError } from '../compress-error.ts';
import { changed } from './message.ts';

export type OnnxModel = ModelProto;

/** A protobuf message cannot be larger (protobuf.dev, encoding: size limit); ONNX calls for external data above. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;
/** Smaller tensors stay in the message: shapes and scales are read while a model is loaded. */
const MIN_EXTERNAL_BYTES = 1024;
/** Each tensor starts at a multiple of this, so that its pages can be mapped. */
const EXTERNAL_ALIGNMENT = 4096;

/**
 * @param file path of the `.onnx` file; external data is read only from its folder.
 * @throws CompressError (`model`) where it cannot be read, is no ONNX model, or is larger than 2 GiB without its external data.
 */
export async function readOnnxModel(file: string): Promise<OnnxModel> {
  const model = decodeOnnxModel(await readMessage(file), file);
  for (const tensor of tensorsOf(model)) {
    if (tensor.dataLocation !== TensorProto_DataLocation.EXTERNAL) continue;
    tensor.rawData = await readExternal(tensor, file);
    tensor.externalData = [];
    clearField(tensor, TensorProtoSchema.field.dataLocation);
  }
  return model;
}

/**
 * Where the external data of a model lies.
 * @returns paths of files; none where all is in the model's own.
 * @throws CompressError (`model`)
 */
export async function externalFilesOf(file: string): Promise<string[]> {
  const model = decodeOnnxModel(await readMessage(file), file);
  const outside = [...tensorsOf(model)].filter(
    ({ dataLocation }) => dataLocation === TensorProto_DataLocation.EXTERNAL,
  );
  return [...new Set(outside.map((tensor) => locationOf(tensor, file).target))];
}

/** @param name in the text of an error. @throws CompressError (`model`) */
export function decodeOnnxModel(bytes: Uint8Array, name: string): OnnxModel {
  let model: OnnxModel;
  try {
    model = fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    throw new CompressError('model', `${name} is no ONNX model: ${messageOf(cause)}`, { cause });
  }
  // Most bytes are some protobuf message.
  if (model.graph === undefined || model.opsetImport.length === 0) {
    throw new CompressError('model', `${name} is no ONNX model: it has no graph, or names no operator set`);
  }
  return model;
}

export interface WriteOptions {
  /** Whether weights go to `<file>.data` beside the model: `auto` where the model would be larger than 2 GiB. */
  readonly externalData?: 'auto' | 'always' | 'never';
}

/**
 * Writes `model` whole or not at all: under other names first, which are then changed.
 * @returns the names of the files that were written, the model's first.
 * @throws CompressError (`model`) where it is larger than 2 GiB without external data.
 */
export async function writeOnnxModel(model: OnnxModel, file: string, options: WriteOptions = {}): Promise<string[]> {
  const { externalData = 'auto' } = options;
  const inline = estimateBytes(model) <= MAX_MESSAGE_BYTES;
  if (!inline && externalData === 'never') throw tooLarge(file);
  if (externalData === 'always' || (externalData === 'auto' && !inline)) return writeExternal(model, file);
  await writeWhole(file, [encodeOnnxModel(model, file)]);
  return [file];
}

/** The bytes of a model file. The same model always gives the same. @throws CompressError (`model`) above 2 GiB */
export function encodeOnnxModel(model: OnnxModel, name: string): Uint8Array {
  if (estimateBytes(model) > MAX_MESSAGE_BYTES) throw tooLarge(name);
  const bytes = toBinary(ModelProtoSchema, model);
  if (bytes.byteLength > MAX_MESSAGE_BYTES) throw tooLarge(name);
  return bytes;
}

function tooLarge(name: string): CompressError {
  return new CompressError(
    'model',
    `${name} would be larger than 2 GiB, which one ONNX file cannot be: use external data`,
  );
}

/** A lower bound, and nearly exact where it matters: what the weights take. */
function estimateBytes(model: OnnxModel): number {
  let bytes = 0;
  for (const tensor of tensorsOf(model)) bytes += tensor.rawData.byteLength + tensor.floatData.length * 4;
  return bytes;
}

async function readMessage(file: string): Promise<Uint8Array> {
  try {
    const { size } = await fs.stat(file);
    if (size > MAX_MESSAGE_BYTES) {
      const text = `${file} has ${size} bytes: an ONNX file has at most 2 GiB, and keeps larger weights as external data`;
      throw new CompressError('model', text);
    }
    return await fs.readFile(file);
  } catch (cause) {
    if (cause instanceof CompressError) throw cause;
    throw new CompressError('model', `${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

interface Location {
  readonly name: string;
  readonly target: string;
  readonly offset: number;
  readonly length: number | undefined;
}

function locationOf(tensor: TensorProto, file: string): Location {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const directory = path.dirname(file);
  const name = entries.get('location') ?? '';
  const target = path.join(directory, name);
  // A model is no reason to read any file of the machine.
  if (name === '' || path.isAbsolute(name) || path.relative(directory, target).startsWith('..')) {
    const text = `${file}: tensor '${tensor.name}' is stored in '${name}': expected a file beside the model`;
    throw new CompressError('model', text);
  }
  const length = entries.get('length');
  const offset = Number(entries.get('offset') ?? 0);
  return { name, target, offset, length: length === undefined ? undefined : Number(length) };
}

async function readExternal(tensor: TensorProto, file: string): Promise<Uint8Array> {
  const location = locationOf(tensor, file);
  const { name, target, offset } = location;
  const what = `${file}: tensor '${tensor.name}'`;
  let handle: fs.FileHandle | undefined;
  try {
    handle = await fs.open(target);
    const { size } = await handle.stat();
    const { length = size - offset } = location;
    if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
      const text = `${what} has the bytes ${offset} to ${offset + length} of '${name}', which has only ${size}`;
      throw new CompressError('model', text);
    }
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, 2 ** 30), offset + done);
      if (bytesRead === 0) throw new Error('the file became shorter meanwhile');
      done += bytesRead;
    }
    return bytes;
  } catch (cause) {
    if (cause instanceof CompressError) throw cause;
    throw new CompressError('model', `${what}: '${name}' cannot be read: ${messageOf(cause)}`, { cause });
  } finally {
    await handle?.close();
  }
}

async function writeExternal(model: OnnxModel, file: string): Promise<string[]> {
  const location = `${path.basename(file)}.data`;
  const data = path.join(path.dirname(file), location);
  const chunks: Uint8Array[] = [];
  let end = 0;
  const outside = new Map<TensorProto, TensorProto>();
  for (const tensor of model.graph?.initializer ?? []) {
    if (tensor.rawData.byteLength < MIN_EXTERNAL_BYTES) continue;
    const offset = Math.ceil(end / EXTERNAL_ALIGNMENT) * EXTERNAL_ALIGNMENT;
    chunks.push(new Uint8Array(offset - end), tensor.rawData);
    end = offset + tensor.rawData.byteLength;
    const entries = { location, offset: String(offset), length: String(tensor.rawData.byteLength) };
    const { name, dims, dataType } = tensor;
    const externalData = Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
    const dataLocation = TensorProto_DataLocation.EXTERNAL;
    outside.set(tensor, create(TensorProtoSchema, { name, dims, dataType, externalData, dataLocation }));
  }
  const initializer = model.graph?.initializer.map((tensor) => outside.get(tensor) ?? tensor) ?? [];
  const graph = model.graph && changed(GraphProtoSchema, model.graph, { initializer });
  const message = changed(ModelProtoSchema, model, { ...(graph && { graph }) });
  // The data first: a model without its data would be the broken half.
  await writeWhole(data, chunks);
  await writeWhole(file, [encodeOnnxModel(message, file)]);
  return [file, data];
}

async function writeWhole(file: string, chunks: readonly Uint8Array[]): Promise<void> {
  const partial = `${file}.${process.pid}-${randomBytes(4).toString('hex')}.part`;
  try {
    const handle = await fs.open(partial, 'wx');
    try {
      for (const chunk of chunks) {
        for (let at = 0; at < chunk.byteLength; at += 2 ** 30) await handle.writeFile(chunk.subarray(at, at + 2 ** 30));
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(partial, file);
  } catch (error) {
    await fs.rm(partial, { force: true });
    throw error;
  }
}

/** All tensors of a model: initializers and attributes, of subgraphs and functions too. */
function* tensorsOf(model: OnnxModel): Generator<TensorProto> {
  if (model.graph !== undefined) yield* tensorsOfGraph(model.graph);
  for (const { node } of model.functions) for (const { attribute } of node) yield* tensorsOfAttributes(attribute);
}

function* tensorsOfGraph({ initializer, node }: GraphProto): Generator<TensorProto> {
  yield* initializer;
  for (const { attribute } of node) yield* tensorsOfAttributes(attribute);
}

function* tensorsOfAttributes(attributes: GraphProto['node'][number]['attribute']): Generator<TensorProto> {
  for (const { t, tensors, g, graphs } of attributes) {
    if (t !== undefined) yield t;
    yield* tensors;
    if (g !== undefined) yield* tensorsOfGraph(g);
    for (const graph of graphs) yield* tensorsOfGraph(graph);
  }
}
