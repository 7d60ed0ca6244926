/**
 * The instances of one model version: each a session in a thread of the runner, and the mailbox through which its batches pass.
 *
 * I1: at most one batch is in flight per instance.
 */

import { Mailbox } from '../../worker/mailbox.ts';
import { aligned, type SessionInfo, type SessionSpec, type TensorPlace } from '../../worker/protocol.ts';
import type { BatchAxis } from '../admit/infer-tensors.ts';
import { gather, type Load } from '../batch/batch.ts';
import type { OutputTensor } from '../batch/queued-request.ts';
import type { RunOutcome } from '../batch/scheduler.ts';
import type { ModelRef } from '../ops/diagnostics.ts';
import { type ModelTensor, withSize } from '../repository/row-axis.ts';
import type { RunReply } from './instance-channel.ts';
import type { Outage } from './outage.ts';
import type { Tenant } from './runner.ts';
import { LoadError, type RunnerProcess } from './runner-process.ts';

export interface InstanceGroupOptions {
  readonly model: ModelRef;
  /** One for each instance; they differ in the device that they are pinned to. */
  readonly specs: readonly SessionSpec[];
  readonly mailboxDirectory: string;
  /** A load that takes longer is a failure, in milliseconds. */
  readonly loadLimitMs: number;
  /** Called when an instance becomes idle. */
  readonly onIdle: () => void;
  /** Called when the runner is gone, and after each start of another that failed; with `undefined` when the instances are back. */
  readonly onOutage: (outage: Outage | undefined) => void;
}

interface Instance {
  readonly number: number;
  readonly mailbox: Mailbox;
  readonly process: RunnerProcess;
  busy: boolean;
}

/** What `gather` needs to know of the model, once that is known. */
export interface Signature {
  readonly inputs: readonly ModelTensor[];
  /** Where clients see other shapes than the model has. */
  readonly outputs?: readonly ModelTensor[];
  readonly axis: BatchAxis;
}

/** Numbers instances over all model versions, so that those in one runner never collide. */
let lastNumber = 0;

export class InstanceGroup implements Tenant {
  readonly model: ModelRef;
  readonly #options: InstanceGroupOptions;
  #instances: Instance[] = [];
  #info: SessionInfo | undefined;
  #outage: Outage | undefined;
  #loadMs = 0;

  constructor(options: InstanceGroupOptions) {
    this.model = options.model;
    this.#options = options;
  }

  get size(): number {
    return this.#options.specs.length;
  }

  get idle(): number {
    let count = 0;
    for (const instance of this.#instances) if (isIdle(instance)) count++;
    return count;
  }

  get outage(): Outage | undefined {
    return this.#outage;
  }

  /** How long the last load took. */
  get loadMs(): number {
    return this.#loadMs;
  }

  /** What the session says of itself. */
  get info(): SessionInfo {
    if (this.#info === undefined) throw new Error('the model is not loaded');
    return this.#info;
  }

  async occupy(process: RunnerProcess): Promise<void> {
    const made: Instance[] = [];
    const started = performance.now();
    try {
      for (const spec of this.#options.specs) {
        const mailbox = Mailbox.create(this.#options.mailboxDirectory);
        const instance = { number: ++lastNumber, mailbox, process, busy: false };
        made.push(instance);
        const info = await process.load(instance.number, mailbox.path, spec, this.#options.loadLimitMs);
        this.#info = sameAs(this.#info, info);
      }
    } catch (error) {
      for (const { mailbox, number } of made) {
        mailbox.close();
        // In a shared runner the sessions that did load would stay for ever.
        void process.unload(number, this.#options.loadLimitMs);
      }
      throw error;
    }
    this.#instances = made;
    void process.ended.then(() => {
      for (const instance of made) this.#drop(instance);
    });
    this.#loadMs = performance.now() - started;
    if (this.#outage !== undefined) {
      this.#outage = undefined;
      this.#options.onOutage(undefined);
    }
    this.#options.onIdle();
  }

  suspend(outage: Outage): void {
    this.#outage = outage;
    this.#options.onOutage(outage);
  }

  /** No batch may be in flight. */
  vacate(): void {
    for (const { mailbox, number, process } of this.#instances.splice(0)) {
      mailbox.close();
      void process.unload(number, this.#options.loadLimitMs);
    }
  }

  /** Runs a batch on an idle instance. There must be one. Never rejects. */
  async run(batch: Load, signature: Signature, limitMs: number): Promise<RunOutcome> {
    const instance = this.#instances.find(isIdle);
    if (instance === undefined) return { kind: 'failed', error: new Error('no idle instance') };
    instance.busy = true;
    const outcome = await runOn(instance, batch, signature, limitMs).catch(
      (error: unknown): RunOutcome => (isNoRoom(error) ? { kind: 'no_room' } : { kind: 'failed', error }),
    );
    // What it took of the room, others may need.
    if (outcome.kind === 'no_room') instance.mailbox.empty();
    else if (outcome.kind !== 'ok') instance.mailbox.settle(0);
    instance.busy = false;
    if (this.#instances.includes(instance)) this.#options.onIdle();
    else instance.mailbox.close();
    return outcome;
  }

  /** A dead process' instance: its mailbox is closed here, or by the run that still holds it. */
  #drop(instance: Instance): void {
    if (!this.#instances.includes(instance)) return;
    this.#instances = this.#instances.filter((other) => other !== instance);
    if (!instance.busy) instance.mailbox.close();
  }
}

/**
 * Requests are checked against the signature that the first load found.
 * @throws LoadError where the file that is loaded after an outage has other tensors.
 */
function sameAs(first: SessionInfo | undefined, again: SessionInfo): SessionInfo {
  const signatureOf = ({ inputs, outputs }: SessionInfo): string => JSON.stringify([inputs, outputs]);
  if (first === undefined || signatureOf(first) === signatureOf(again)) return again;
  throw new LoadError('its file holds a model with other inputs or outputs than before: load the model again');
}

function isIdle({ busy, process }: Instance): boolean {
  return !busy && process.alive;
}

async function runOn(
  { number, mailbox, process }: Instance,
  batch: Load,
  signature: Signature,
  limitMs: number,
): Promise<RunOutcome> {
  const started = performance.now();
  const { places, chunks, end } = gather(batch, signature.inputs, signature.axis);
  await mailbox.write(chunks, 0);
  const written = performance.now();
  const reply = await process.run(number, { inputs: places, outputOffset: aligned(end) }, limitMs);
  if (reply.kind !== 'ran') return failureOf(reply);
  const answered = performance.now();
  const { computeMs, readMs, writeMs, outputs: outputPlaces } = reply.result;
  const outputs = asSeen(await readOutputs(mailbox, outputPlaces), signature.outputs);
  // The way there and the way back cannot be told apart from here; each is charged half.
  const hopMs = Math.max(0, answered - written - computeMs - readMs - writeMs) / 2;
  return {
    kind: 'ok',
    outputs,
    inputMs: written - started + hopMs + readMs,
    computeMs,
    outputMs: hopMs + writeMs + performance.now() - answered,
  };
}

/** Outputs with the shapes that clients see. */
function asSeen(outputs: readonly OutputTensor[], specs: readonly ModelTensor[] = []): readonly OutputTensor[] {
  if (!specs.some(({ modelShape }) => modelShape !== undefined)) return outputs;
  return outputs.map((output) => {
    const spec = specs.find(({ name }) => name === output.name);
    return spec?.modelShape === undefined ? output : { ...output, shape: withSize(spec.shape, output.shape[0] ?? 1) };
  });
}

function isNoRoom(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOSPC';
}

function failureOf(reply: Exclude<RunReply, { kind: 'ran' }>): RunOutcome {
  if (reply.kind === 'ended') return { kind: reply.timedOut ? 'timed_out' : 'crashed', cause: reply.cause };
  if (reply.fault === 'data') return { kind: 'refused', message: reply.message };
  if (reply.fault === 'room') return { kind: 'no_room' };
  return { kind: 'failed', error: new Error(reply.message) };
}

/** All outputs in one read; each is a view of it. */
async function readOutputs(mailbox: Mailbox, places: readonly TensorPlace[]): Promise<OutputTensor[]> {
  const from = places[0]?.offset ?? 0;
  let to = from;
  for (const { offset, byteLength } of places) to = Math.max(to, offset + byteLength);
  const bytes = await mailbox.read(from, to - from);
  mailbox.settle(to);
  return places.map(({ name, datatype, shape, offset, byteLength }) => ({
    name,
    datatype,
    shape,
    data: bytes.subarray(offset - from, offset - from + byteLength),
  }));
}
