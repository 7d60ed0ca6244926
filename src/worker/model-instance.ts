/**
 * One instance of a model: what a piscina thread holds. Each thread has one session and one mailbox.
 *
 * `session.run` blocks the thread that calls it, which is why nothing else lives here.
 */

import type { InferenceSession, OnnxValue } from 'onnxruntime-node';
import { describeOutputs } from '../wire/tensor.ts';
import { datatypeOf, elementTypeOf, TYPED_ARRAYS } from './element-type.ts';
import { openSession } from './execution-provider.ts';
import { isNoRoom, Mailbox } from './mailbox.ts';
import {
  aligned,
  type Run,
  type RunResult,
  type SessionInfo,
  type SessionSpec,
  type SessionTensor,
  type TensorPlace,
} from './protocol.ts';
import { RunFailure } from './run-failure.ts';
import { decodeStrings, encodedLength, encodeStrings } from './string-tensor.ts';

interface Loaded {
  readonly session: InferenceSession;
  readonly outputNames: readonly string[];
  readonly mailbox: Mailbox;
}

const LEAST_ARENA_BYTES = 64 * 1024;

let loaded: Loaded | undefined;
/** Inputs are laid over this without a copy; it must not change while a run reads it, so a thread runs one batch at a time. */
let arena = new ArrayBuffer(LEAST_ARENA_BYTES);

/** Opens the mailbox and the session. Throws an Error whose text says what is wrong with the model. */
export async function load(task: { mailboxPath: string; spec: SessionSpec }): Promise<SessionInfo> {
  const mailbox = Mailbox.open(task.mailboxPath);
  try {
    const { session, provider, refusals } = await openSession(task.spec);
    const wanted = wantedOutputs(session, task.spec);
    const info = {
      inputs: session.inputMetadata.map((tensor) => describe(tensor)),
      outputs: session.outputMetadata.filter(({ name }) => wanted.includes(name)).map(describeOutput),
      provider,
      refusals,
    };
    loaded = { session, outputNames: info.outputs.map(({ name }) => name), mailbox };
    return info;
  } catch (error) {
    mailbox.close();
    throw error;
  }
}

/**
 * Runs one batch: inputs from the mailbox, outputs back into it.
 * @throws Error; of those that are not ONNX Runtime's the interesting ones are RunFailures.
 */
export async function run({ inputs, outputOffset, maxOutputBytes }: Run): Promise<RunResult> {
  if (loaded === undefined) throw new Error('run before load');
  const { session, outputNames, mailbox } = loaded;
  const started = performance.now();
  readArena(mailbox, inputs);
  // Names of inputs are a model's own: `constructor` may be one.
  const feeds: Record<string, OnnxValue> = Object.create(null);
  for (const place of inputs) feeds[place.name] = feed(place);
  const ready = performance.now();
  const values = await session.run(feeds, outputNames);
  const finished = performance.now();
  try {
    checkSizes(outputNames, values, maxOutputBytes);
    const outputs = writeOutputs(mailbox, outputNames, values, outputOffset);
    return {
      outputs,
      computeMs: finished - ready,
      readMs: ready - started,
      writeMs: performance.now() - finished,
    };
  } finally {
    for (const name of outputNames) giveBack(values[name]);
  }
}

/** Frees the session's native memory. */
export async function unload(): Promise<void> {
  if (loaded === undefined) return;
  const { session, mailbox } = loaded;
  loaded = undefined;
  mailbox.close();
  await session.release();
}

/** Where one is wanted that the session does not have, all of them: the gateway compares names, and says which is wrong. */
function wantedOutputs({ outputNames }: InferenceSession, { outputs }: SessionSpec): readonly string[] {
  return outputs?.every((name) => outputNames.includes(name)) ? outputs : outputNames;
}

const ZIP_MAP_HINT =
  "if skl2onnx made the model, convert it with options={'zipmap': False}, or list the outputs to serve in the configuration";

function describeOutput(tensor: InferenceSession.ValueMetadata): SessionTensor {
  // The binding and onnxruntime-common keep outputs by name in plain objects.
  if (tensor.name === '__proto__')
    throw new Error(`output '__proto__' cannot be read through ONNX Runtime's binding for Node: give it another name`);
  return describe(tensor, ZIP_MAP_HINT);
}

function describe(tensor: InferenceSession.ValueMetadata, hint?: string): SessionTensor {
  if (!tensor.isTensor) {
    const text = `'${tensor.name}' is no tensor (a sequence or a map): only tensors can be served`;
    throw new Error(hint === undefined ? text : `${text}; ${hint}`);
  }
  const datatype = datatypeOf(tensor.type);
  if (datatype === undefined)
    throw new Error(`'${tensor.name}' has the element type ${tensor.type}, which is not served`);
  return {
    name: tensor.name,
    datatype,
    shape: tensor.shape.map((axis) => (typeof axis === 'number' ? axis : -1)),
    axes: [...tensor.shape],
  };
}

function readArena(mailbox: Mailbox, inputs: readonly TensorPlace[]): void {
  let end = 0;
  for (const { offset, byteLength } of inputs) end = Math.max(end, offset + byteLength);
  const isFarTooLarge = arena.byteLength > LEAST_ARENA_BYTES && end < arena.byteLength / 16;
  if (end > arena.byteLength || isFarTooLarge) arena = new ArrayBuffer(Math.max(LEAST_ARENA_BYTES, end + end / 4));
  mailbox.readSync(new Uint8Array(arena, 0, end), 0);
}

function feed({ datatype, shape, offset, byteLength }: TensorPlace): OnnxValue {
  const type = elementTypeOf(datatype);
  const data =
    type === 'string'
      ? decodeStrings(Buffer.from(arena, offset, byteLength))
      : new TYPED_ARRAYS[type](arena, offset, byteLength / TYPED_ARRAYS[type].BYTES_PER_ELEMENT);
  // A plain object, not `new Tensor`: that turns float16 into a Float16Array on Node 24, which the binding reads as empty.
  return { type, data, dims: shape, location: 'cpu' } as unknown as OnnxValue;
}

/** @throws RunFailure `outputs`: nothing has been copied by then. */
function checkSizes(names: readonly string[], values: InferenceSession.OnnxValueMapType, maxBytes: number): void {
  let total = 0;
  for (const name of names) total += byteLengthOf(values[name]);
  if (total <= maxBytes) return;
  const sizes = names.map((name) => ({
    name,
    shape: values[name]?.dims ?? [],
    byteLength: byteLengthOf(values[name]),
  }));
  throw new RunFailure('outputs', describeOutputs(sizes));
}

function byteLengthOf(value: OnnxValue | undefined): number {
  const data: unknown = value?.data;
  if (Array.isArray(data)) return encodedLength(data as string[]);
  return ArrayBuffer.isView(data) ? data.byteLength : 0;
}

const PADDING = new Uint8Array(64);

function writeOutputs(
  mailbox: Mailbox,
  names: readonly string[],
  values: InferenceSession.OnnxValueMapType,
  from: number,
): TensorPlace[] {
  const places: TensorPlace[] = [];
  const chunks: Uint8Array[] = [];
  let end = from;
  for (const name of names) {
    const value = values[name];
    if (value === undefined) throw new Error(`the session gave no output '${name}'`);
    const bytes = outputBytes(value);
    const offset = aligned(end);
    if (offset > end) chunks.push(PADDING.subarray(0, offset - end));
    chunks.push(bytes);
    end = offset + bytes.byteLength;
    const datatype = datatypeOf(value.type);
    if (datatype === undefined)
      throw new Error(`output '${name}' has the element type ${value.type}, which is not served`);
    places.push({ name, datatype, shape: [...value.dims], offset, byteLength: bytes.byteLength });
  }
  try {
    mailbox.writeSync(chunks, from);
  } catch (error) {
    throw isNoRoom(error) ? new RunFailure('room', String(error), end) : error;
  }
  return places;
}

/**
 * Frees an output now, not when it is collected: the next batch's takes the same memory, whose pages the kernel then need not
 * clear, and buffers that come and go by the megabyte make no full collections.
 */
function giveBack(value: OnnxValue | undefined): void {
  const data: unknown = value?.data;
  if (ArrayBuffer.isView(data)) (data.buffer as ArrayBuffer).transfer(0);
}

function outputBytes(value: OnnxValue): Uint8Array {
  const data: unknown = value.data;
  if (Array.isArray(data)) return encodeStrings(data as string[]);
  if (!ArrayBuffer.isView(data)) throw new Error('the session gave an output that is no tensor');
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
