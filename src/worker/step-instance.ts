/** One instance of a step, in a thread of a runner: what `model-instance.ts` is for ONNX models. ONNX Runtime is not loaded for it. */

import path from 'node:path';
import { decodeBytesTensor } from '../wire/bytes-tensor.ts';
import { elementCount } from '../wire/tensor.ts';
import { InputArena } from './input-arena.ts';
import { Mailbox } from './mailbox.ts';
import type { ChannelAddress, Run, SessionInfo, SessionTensor, StepSpec, TensorPlace } from './protocol.ts';
import type { ReportedOutcome } from './run-outcome.ts';
import { type GivenOutput, writeOutputs } from './run-outputs.ts';
import type { StepOptions } from './step-spec.ts';
import type { Step, StepInput, StepOutput } from './steps/step.ts';
import { decodeStrings, encodedLength } from './string-tensor.ts';

interface Loaded {
  readonly step: Step;
  readonly inputs: readonly SessionTensor[];
  /** Outputs of a run; none where they are sent before. */
  readonly outputs: readonly SessionTensor[];
  /** Outputs that are wanted, by their place in the description. */
  readonly wanted: ReadonlySet<number>;
  readonly mailbox: Mailbox;
}

let loaded: Loaded | undefined;
const arena = new InputArena();

/** Opens the mailbox and reads the files of the step. Throws an Error whose text says what is wrong with them. */
export async function load(task: {
  mailboxPath: string;
  spec: StepSpec;
  calls?: ChannelAddress | undefined;
}): Promise<SessionInfo> {
  const mailbox = Mailbox.open(task.mailboxPath);
  try {
    const step = await openStep(task.spec, task.calls);
    const { inputs, outputs, isDecoupled = false, notes = [], ...traits } = step.describe();
    const names = task.spec.outputs;
    // Where a name is unknown, all are given: the gateway compares names, and says which is wrong.
    const narrows = names?.every((name) => outputs.some((tensor) => tensor.name === name)) === true;
    const wanted = new Set(
      [...outputs.keys()].filter((at) => !narrows || names?.includes(outputs[at]?.name ?? '') === true),
    );
    loaded = { step, inputs, outputs: isDecoupled ? [] : outputs, wanted, mailbox };
    const given = outputs.filter((_, at) => wanted.has(at));
    return {
      inputs,
      outputs: given,
      provider: 'cpu',
      refusals: [],
      notes,
      ...traits,
    };
  } catch (error) {
    mailbox.close();
    throw error;
  }
}

/**
 * Runs one batch: inputs from the mailbox and from landing files, outputs into the mailbox.
 * @throws RunFailure, or another Error, which is a fault of the step
 */
export async function run({
  inputs: places,
  pieces,
  outputOffset,
  maxOutputBytes,
}: Run): Promise<Extract<ReportedOutcome, { readonly kind: 'ok' }>> {
  if (loaded === undefined) throw new Error('run before load');
  const { step, inputs, outputs, wanted, mailbox } = loaded;
  const started = performance.now();
  arena.read(mailbox, places, pieces);
  const given = inputs.map((tensor) =>
    inputOf(
      tensor,
      places.find(({ name }) => name === tensor.name),
    ),
  );
  const ready = performance.now();
  const values = await step.run(given);
  const finished = performance.now();
  const rowLengths = values.find((output) => output.rowLengths !== undefined)?.rowLengths;
  const results = outputs.flatMap((tensor, at) => (wanted.has(at) ? [outputOf(tensor, values[at])] : []));
  return {
    kind: 'ok',
    outputs: writeOutputs(mailbox, results, outputOffset, maxOutputBytes),
    ...(rowLengths && { rowLengths }),
    computeMs: finished - ready,
    readMs: ready - started,
    writeMs: performance.now() - finished,
  };
}

export async function unload(): Promise<void> {
  loaded?.step.close?.();
  arena.close();
  loaded?.mailbox.close();
  loaded = undefined;
}

/** Libraries of a step are loaded only where it is used. */
function openStep({ step, modelPath }: StepSpec, calls: ChannelAddress | undefined): Promise<Step> {
  return OPENERS[step.kind](modelPath, step as never, calls);
}

const OPENERS: {
  readonly [Kind in StepOptions['kind']]: (
    modelPath: string,
    options: Extract<StepOptions, { kind: Kind }>,
    calls: ChannelAddress | undefined,
  ) => Promise<Step>;
} = {
  tokenizer: async (modelPath, options) =>
    (await import('./steps/tokenizer.ts')).TokenizerStep.open(path.dirname(modelPath), options),
  detokenizer: async (modelPath) =>
    new (await import('./steps/detokenizer.ts')).DetokenizerStep(path.dirname(modelPath)),
  pooling: async (_, options) => new (await import('./steps/pooling.ts')).PoolingStep(options),
  image: async (_, options) => (await import('./steps/image.ts')).ImageStep.open(options),
  labels: async (_, options) => new (await import('./steps/labels.ts')).LabelsStep(options),
  javascript: async (modelPath, options, calls) =>
    (await import('./steps/javascript.ts')).JavascriptStep.open(modelPath, options, calls),
};

function inputOf({ name, elements }: SessionTensor, place: TensorPlace | undefined): StepInput {
  if (place === undefined) throw new Error(`a run without input '${name}'`);
  const { datatype, shape, offset, byteLength } = place;
  const raw = new Uint8Array(arena.memory, offset, byteLength);
  if (datatype !== 'BYTES') return { shape, data: raw };
  if (elements?.isBinary === true) return { shape, data: decodeBytesTensor(raw, elementCount(shape) ?? 0) };
  return { shape, data: decodeStrings(Buffer.from(arena.memory, offset, byteLength)) };
}

function outputOf(tensor: SessionTensor, output: StepOutput | undefined): GivenOutput {
  if (output === undefined) throw new Error(`the step gave no output '${tensor.name}'`);
  const { shape, data } = output;
  return { tensor, shape, data, byteLength: data instanceof Uint8Array ? data.byteLength : encodedLength(data) };
}
