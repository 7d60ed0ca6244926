/**
 * One instance of a model: what a piscina thread holds. Each thread has one session and one mailbox.
 *
 * `session.run` blocks the thread that calls it, which is why nothing else lives here.
 */

import type { InferenceSession, OnnxValue } from 'onnxruntime-node';
import type { RewrittenModel } from '../onnx/model-rewriting.ts';
import { describeOutputs, type Shape } from '../wire/tensor.ts';
import { datatypeOf, elementTypeOf, TYPED_ARRAYS } from './element-type.ts';
import { openSession } from './execution-provider.ts';
import { isNoRoom, Mailbox } from './mailbox.ts';
import {
  aligned,
  type Run,
  type SessionInfo,
  type SessionSpec,
  type SessionTensor,
  type TensorPlace,
} from './protocol.ts';
import { RunFailure } from './run-failure.ts';
import type { ReportedOutcome } from './run-outcome.ts';
import { decodeStrings, encodedLength, encodeStrings } from './string-tensor.ts';

interface Loaded {
  readonly session: InferenceSession;
  /** Names of the session's outputs that are computed. */
  readonly fetches: readonly string[];
  readonly outputs: readonly SessionTensor[];
  /** Names in the session of BF16 inputs, which are FLOAT there. */
  readonly floatInputs: ReadonlyMap<string, string>;
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
    const { session, provider, refusals, rewritten } = await openSession(task.spec);
    const { floatInputs = NO_NAMES, floatOutputs = NO_NAMES, renamedOutputs = NO_NAMES, notes = [] } = rewritten ?? {};
    const describeInput = describer(floatInputs, NO_NAMES);
    const inputs = session.inputMetadata.map((tensor) => withInitializer(describeInput(tensor), rewritten?.defaults));
    const all = session.outputMetadata.map(describer(floatOutputs, renamedOutputs));
    const outputs = all.filter(isWanted(all, task.spec));
    const fetches = outputs.map(({ name }) => floatOutputs.get(name) ?? renamedOutputs.get(name) ?? name);
    loaded = { session, fetches, outputs, floatInputs, mailbox };
    return { inputs, outputs, provider, refusals, notes };
  } catch (error) {
    mailbox.close();
    throw error;
  }
}

/**
 * Runs one batch: inputs from the mailbox, outputs back into it.
 * @throws RunFailure, or another Error, mostly ONNX Runtime's: `outcomeOf` reads both.
 */
export async function run({
  inputs,
  outputOffset,
  maxOutputBytes,
}: Run): Promise<Extract<ReportedOutcome, { readonly kind: 'ok' }>> {
  if (loaded === undefined) throw new Error('run before load');
  const { session, fetches, outputs, floatInputs, mailbox } = loaded;
  const started = performance.now();
  readArena(mailbox, inputs);
  // Names of inputs are a model's own: `constructor` may be one.
  const feeds: Record<string, OnnxValue> = Object.create(null);
  for (const place of inputs) {
    if (place.datatype === 'BF16') feeds[floatInputs.get(place.name) ?? place.name] = feedBf16(place);
    else feeds[place.name] = feed(place);
  }
  const ready = performance.now();
  const values = await session.run(feeds, fetches);
  const finished = performance.now();
  try {
    const given = outputs.map((tensor, index) => givenOutput(tensor, values[fetches[index] ?? tensor.name]));
    checkSizes(given, maxOutputBytes);
    return {
      kind: 'ok',
      outputs: writeOutputs(mailbox, given, outputOffset),
      computeMs: finished - ready,
      readMs: ready - started,
      writeMs: performance.now() - finished,
    };
  } finally {
    for (const name of fetches) giveBack(values[name]);
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

const NO_NAMES: ReadonlyMap<string, string> = new Map();

/** Where one is wanted that the session does not have, all are: the gateway compares names, and says which is wrong. */
function isWanted(all: readonly SessionTensor[], { outputs }: SessionSpec): (tensor: SessionTensor) => boolean {
  const hasAll = outputs?.every((name) => all.some((tensor) => tensor.name === name)) === true;
  return ({ name }) => !hasAll || outputs?.includes(name) === true;
}

/** @param floats names in the session of BF16 tensors @param renamed names in the session of other tensors */
function describer(
  floats: ReadonlyMap<string, string>,
  renamed: ReadonlyMap<string, string>,
): (tensor: InferenceSession.ValueMetadata) => SessionTensor {
  const byName = (names: ReadonlyMap<string, string>) => new Map([...names].map(([name, own]) => [own, name]));
  const [narrow, others] = [byName(floats), byName(renamed)];
  return (tensor) => {
    const narrowName = narrow.get(tensor.name);
    const name = narrowName ?? others.get(tensor.name) ?? tensor.name;
    if (!tensor.isTensor) throw new Error(`'${name}' is no tensor (a sequence or a map): only tensors can be served`);
    const datatype = narrowName === undefined ? datatypeOf(tensor.type) : 'BF16';
    if (datatype === undefined) throw new Error(`'${name}' has the element type ${tensor.type}, which is not served`);
    const shape = tensor.shape.map((axis) => (typeof axis === 'number' ? axis : -1));
    return { name, datatype, shape, axes: [...tensor.shape] };
  };
}

function withInitializer(tensor: SessionTensor, defaults: RewrittenModel['defaults'] | undefined): SessionTensor {
  const value = defaults?.get(tensor.name);
  if (value === undefined) return tensor;
  return { ...tensor, initializer: { shape: value.shape, data: Buffer.from(value.data).toString('base64') } };
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

/** Widens the values: the session casts them back, exactly. */
function feedBf16({ shape, offset, byteLength }: TensorPlace): OnnxValue {
  const bits = new Uint16Array(arena, offset, byteLength / 2);
  const wide = new Uint32Array(bits.length);
  for (let index = 0; index < bits.length; index++) wide[index] = (bits[index] ?? 0) << 16;
  return { type: 'float32', data: new Float32Array(wide.buffer), dims: shape, location: 'cpu' } as unknown as OnnxValue;
}

interface GivenOutput {
  readonly tensor: SessionTensor;
  readonly shape: Shape;
  readonly byteLength: number;
  /** Values, as the session gives them: of BF16 as float32. */
  readonly data: Uint8Array | readonly string[];
}

function givenOutput(tensor: SessionTensor, value: OnnxValue | undefined): GivenOutput {
  if (value === undefined) throw new Error(`the session gave no output '${tensor.name}'`);
  const values: unknown = value.data;
  const shape = [...value.dims];
  if (Array.isArray(values)) return { tensor, shape, data: values, byteLength: encodedLength(values) };
  if (!ArrayBuffer.isView(values)) throw new Error(`the session gave output '${tensor.name}', which is no tensor`);
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { tensor, shape, data, byteLength: tensor.datatype === 'BF16' ? data.byteLength / 2 : data.byteLength };
}

/** @throws RunFailure where they are too large: nothing has been copied by then. */
function checkSizes(outputs: readonly GivenOutput[], maxBytes: number): void {
  let total = 0;
  for (const { byteLength } of outputs) total += byteLength;
  if (total <= maxBytes) return;
  const sizes = outputs.map(({ tensor: { name }, shape, byteLength }) => ({ name, shape, byteLength }));
  throw new RunFailure({ kind: 'outputs_too_large', message: describeOutputs(sizes) });
}

const PADDING = new Uint8Array(64);

function writeOutputs(mailbox: Mailbox, outputs: readonly GivenOutput[], from: number): TensorPlace[] {
  const places: TensorPlace[] = [];
  const chunks: Uint8Array[] = [];
  let end = from;
  for (const { tensor, shape, data, byteLength } of outputs) {
    const { name, datatype } = tensor;
    const offset = aligned(end);
    if (offset > end) chunks.push(PADDING.subarray(0, offset - end));
    chunks.push(datatype === 'BF16' ? narrowed(data) : data instanceof Uint8Array ? data : encodeStrings(data));
    end = offset + byteLength;
    places.push({ name, datatype, shape, offset, byteLength });
  }
  try {
    mailbox.writeSync(chunks, from);
  } catch (error) {
    if (!isNoRoom(error)) throw error;
    throw new RunFailure({ kind: 'no_room', bytes: end, message: String(error), isLasting: false });
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

/** The upper halves of float32 values that a cast from BF16 has made: nothing is rounded. */
function narrowed(data: GivenOutput['data']): Uint8Array {
  if (!(data instanceof Uint8Array)) throw new TypeError('texts for a BF16 output');
  const wide = new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
  const bits = new Uint16Array(wide.length / 2);
  for (let index = 0; index < bits.length; index++) bits[index] = wide[2 * index + 1] ?? 0;
  return new Uint8Array(bits.buffer);
}
