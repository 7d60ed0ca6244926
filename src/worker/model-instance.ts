/**
 * One instance of a model: what a piscina thread holds. Each thread has one session and one mailbox.
 *
 * `session.run` blocks the thread that calls it, which is why nothing else lives here.
 */

import type { InferenceSession, OnnxValue } from 'onnxruntime-node';
import type { RewrittenModel } from '../onnx/model-rewriting.ts';
import { datatypeOf, elementTypeOf, TYPED_ARRAYS } from './element-type.ts';
import { openSession } from './execution-provider.ts';
import { InputArena } from './input-arena.ts';
import { Mailbox } from './mailbox.ts';
import type { ModelSpec, Run, SessionInfo, SessionTensor, TensorPlace } from './protocol.ts';
import type { ReportedOutcome } from './run-outcome.ts';
import { type GivenOutput, writeOutputs } from './run-outputs.ts';
import { decodeStrings, encodedLength } from './string-tensor.ts';

interface Loaded {
  readonly session: InferenceSession;
  /** Names of the session's outputs that are computed. */
  readonly fetches: readonly string[];
  readonly outputs: readonly SessionTensor[];
  /** Names in the session of BF16 inputs, which are FLOAT there. */
  readonly floatInputs: ReadonlyMap<string, string>;
  readonly mailbox: Mailbox;
}

let loaded: Loaded | undefined;
/** Inputs are laid over its memory without a copy: it must not change while a run reads it, so a thread runs one batch at a time. */
const arena = new InputArena();

/** Opens the mailbox and the session. Throws an Error whose text says what is wrong with the model. */
export async function load(task: { mailboxPath: string; spec: ModelSpec }): Promise<SessionInfo> {
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
 * Runs one batch: inputs from the mailbox and from landing files, outputs into the mailbox.
 * @throws RunFailure, or another Error, mostly ONNX Runtime's: `outcomeOf` reads both.
 */
export async function run({
  inputs,
  pieces,
  outputOffset,
  maxOutputBytes,
}: Run): Promise<Extract<ReportedOutcome, { readonly kind: 'ok' }>> {
  if (loaded === undefined) throw new Error('run before load');
  const { session, fetches, outputs, floatInputs, mailbox } = loaded;
  const started = performance.now();
  arena.read(mailbox, inputs, pieces);
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
    return {
      kind: 'ok',
      outputs: writeOutputs(mailbox, given, outputOffset, maxOutputBytes),
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
  arena.close();
  mailbox.close();
  await session.release();
}

const NO_NAMES: ReadonlyMap<string, string> = new Map();

/** Where one is wanted that the session does not have, all are: the gateway compares names, and says which is wrong. */
function isWanted(all: readonly SessionTensor[], { outputs }: ModelSpec): (tensor: SessionTensor) => boolean {
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

function feed({ datatype, shape, offset, byteLength }: TensorPlace): OnnxValue {
  const type = elementTypeOf(datatype);
  const data =
    type === 'string'
      ? decodeStrings(Buffer.from(arena.memory, offset, byteLength))
      : new TYPED_ARRAYS[type](arena.memory, offset, byteLength / TYPED_ARRAYS[type].BYTES_PER_ELEMENT);
  // A plain object, not `new Tensor`: that turns float16 into a Float16Array on Node 24, which the binding reads as empty.
  return { type, data, dims: shape, location: 'cpu' } as unknown as OnnxValue;
}

/** Widens the values: the session casts them back, exactly. */
function feedBf16({ shape, offset, byteLength }: TensorPlace): OnnxValue {
  const bits = new Uint16Array(arena.memory, offset, byteLength / 2);
  const wide = new Uint32Array(bits.length);
  for (let index = 0; index < bits.length; index++) wide[index] = (bits[index] ?? 0) << 16;
  return { type: 'float32', data: new Float32Array(wide.buffer), dims: shape, location: 'cpu' } as unknown as OnnxValue;
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

/**
 * Frees an output now, not when it is collected: the next batch's takes the same memory, whose pages the kernel then need not
 * clear, and buffers that come and go by the megabyte make no full collections.
 */
function giveBack(value: OnnxValue | undefined): void {
  const data: unknown = value?.data;
  if (ArrayBuffer.isView(data)) (data.buffer as ArrayBuffer).transfer(0);
}
