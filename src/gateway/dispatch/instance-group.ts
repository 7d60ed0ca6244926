/**
 * The instances of one model version: each a session in a thread of the runner, and the mailbox through which its batches pass.
 *
 * GROUP-1: at most one batch is in flight per instance.
 */

import { messageOf } from '../../error-message.ts';
import { type LandedBytes, releaseAll } from '../../wire/tensor-bytes.ts';
import { isNoRoom, type Mailbox } from '../../worker/mailbox.ts';
import type { SessionInfo, SessionSpec } from '../../worker/protocol.ts';
import type { RunOutcome } from '../../worker/run-outcome.ts';
import type { BatchAxis } from '../admit/infer-tensors.ts';
import { gather, type TensorBatch } from '../batch/batch.ts';
import { batchOutputLimit } from '../batch/output-limit.ts';
import type { ModelRef } from '../ops/diagnostics.ts';
import type { LengthAxis } from '../repository/signature/length-axis.ts';
import type { ModelTensor } from '../repository/signature/row-axis.ts';
import { layOut, retainLanded, runOf } from './input-layout.ts';
import { MailboxRoom, noRoom } from './mailbox-room.ts';
import type { Outage } from './outage.ts';
import { readAnswer } from './run-answer.ts';
import type { RunBounds } from './run-watch.ts';
import type { HostedModel } from './runner.ts';
import type { RunnerProcess } from './runner-process.ts';
import { sameAs } from './session-tensors.ts';

export interface InstanceGroupOptions {
  readonly model: ModelRef;
  /** One for each instance; they differ in the device that they are pinned to. */
  readonly specs: readonly SessionSpec[];
  readonly mailboxDirectory: string;
  /** A load that takes longer is a failure, in milliseconds. */
  readonly loadLimitMs: number;
  /** Bytes that the outputs of one request may have. */
  readonly maxOutputBytes: number;
  /** Called when an instance becomes idle. */
  readonly onIdle: () => void;
  /** Called when the runner is gone, and after each start of another that failed; with `undefined` when the instances are back. */
  readonly onOutage: (outage: Outage | undefined) => void;
}

interface Instance {
  readonly number: number;
  readonly spec: SessionSpec;
  readonly mailbox: Mailbox;
  readonly process: RunnerProcess;
  busy: boolean;
  /** Set while its session holds memory of a run that was refused: see `#renew`. */
  renewal: NodeJS.Timeout | undefined;
}

/** Facts of the model that `gather` needs. */
export interface Signature {
  readonly inputs: readonly ModelTensor[];
  /** Where clients see other shapes than the model has. */
  readonly outputs?: readonly ModelTensor[];
  readonly axis: BatchAxis;
  /** Absent where requests of a batch are of equal length. */
  readonly lengths?: LengthAxis | undefined;
}

/** How long after a refused run its session is opened again, and at the earliest after the last time. */
const RENEW_AFTER_MS = 1_000;
const RENEW_PAUSE_MS = 10_000;

/** Numbers instances over all model versions, so that those in one runner never collide. */
let lastNumber = 0;

export class InstanceGroup implements HostedModel {
  readonly model: ModelRef;
  readonly #options: InstanceGroupOptions;
  readonly #room: MailboxRoom;
  #instances: Instance[] = [];
  #info: SessionInfo | undefined;
  #outage: Outage | undefined;
  #loadMs = 0;
  /** How long the fastest load took: what a restart costs at least, also where the last one met a busy machine. */
  #restartMs = Number.POSITIVE_INFINITY;
  #process: RunnerProcess | undefined;
  #renewedAt = Number.NEGATIVE_INFINITY;

  constructor(options: InstanceGroupOptions) {
    this.model = options.model;
    this.#options = options;
    this.#room = MailboxRoom.in(options.mailboxDirectory);
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

  get info(): SessionInfo {
    if (this.#info === undefined) throw new Error('the model is not loaded');
    return this.#info;
  }

  async load(process: RunnerProcess): Promise<void> {
    const made: Instance[] = [];
    const started = performance.now();
    try {
      for (const spec of this.#options.specs) made.push(await this.#open(process, spec));
    } catch (error) {
      // In a shared runner the sessions that did load would stay for ever.
      for (const instance of made) this.#discard(instance);
      throw error;
    }
    this.#process = process;
    this.#instances = made;
    void process.ended.then(() => {
      for (const instance of this.#instances) if (instance.process === process) this.#drop(instance);
    });
    this.#loadMs = performance.now() - started;
    this.#restartMs = Math.min(this.#restartMs, this.#loadMs);
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
  unload(): void {
    this.#process = undefined;
    for (const instance of this.#instances.splice(0)) this.#discard(instance);
  }

  /**
   * Runs a batch on an idle instance. There must be one. Never rejects.
   * @param until up to when a batch waits for room in the directory of the mailboxes, on the clock of `performance.now()`
   */
  async run<B extends TensorBatch>(
    batch: B,
    signature: Signature,
    bounds: RunBounds,
    until: (batch: B) => number = atOnce,
  ): Promise<RunOutcome> {
    const instance = this.#instances.find(isIdle);
    if (instance === undefined) return { kind: 'failed', error: new Error('no idle instance') };
    instance.busy = true;
    // A request that ends meanwhile, such as a cancelled one, leaves its tensors where this run finds them.
    const landed = retainLanded(batch);
    const first = await this.#attempt(instance, batch, signature, bounds, 'first');
    const outcome =
      first.kind === 'no_room' ? await this.#retry(first.bytes, instance, batch, signature, bounds, until) : first;
    if (outcome.kind !== 'ok') instance.mailbox.release(0);
    if (outcome.kind === 'outputs_too_large' || outcome.kind === 'out_of_memory') this.#renewLater(instance);
    instance.busy = false;
    releaseAll(landed);
    this.#room.ended();
    if (this.#instances.includes(instance)) this.#options.onIdle();
    else this.#room.close(instance.mailbox);
    return outcome;
  }

  async #retry<B extends TensorBatch>(
    bytes: number,
    instance: Instance,
    batch: B,
    signature: Signature,
    bounds: RunBounds,
    until: (batch: B) => number,
  ): Promise<RunOutcome> {
    const started = performance.now();
    let ranAt = started;
    const attempt = (): Promise<RunOutcome> => {
      ranAt = performance.now();
      return this.#attempt(instance, batch, signature, bounds, 'again');
    };
    const outcome = await this.#room.retry(instance.mailbox, bytes, attempt, () => until(batch));
    return outcome.kind === 'ok' ? { ...outcome, roomMs: ranAt - started } : outcome;
  }

  /** Never rejects. Gives back what it took of the room where there is too little. */
  async #attempt(
    instance: Instance,
    batch: TensorBatch,
    signature: Signature,
    bounds: RunBounds,
    attempt: 'first' | 'again',
  ): Promise<RunOutcome> {
    const { number, mailbox, process } = instance;
    let end = 0;
    let lent: readonly LandedBytes[] = [];
    try {
      const started = performance.now();
      const gathered = gather(batch, signature.inputs, signature.axis, signature.lengths);
      end = gathered.end;
      if (attempt === 'first' && this.#room.isTakenBefore(end)) return noRoom(end);
      const layout = layOut(gathered);
      lent = layout.lent;
      await mailbox.write(layout.chunks, 0);
      const written = performance.now();
      const maxOutputBytes = batchOutputLimit(this.#options.maxOutputBytes, batch.requests.length);
      const run = runOf(gathered, layout, maxOutputBytes);
      const outcome = await process.run(number, run, { ...bounds, restartMs: this.#restartMs });
      if (outcome.kind === 'no_room') mailbox.empty();
      if (outcome.kind !== 'ok') return outcome;
      return await readAnswer(outcome, mailbox, this.#room.outputs, signature, started, written);
    } catch (error) {
      if (!isNoRoom(error)) return { kind: 'failed', error };
      mailbox.empty();
      return noRoom(end);
    } finally {
      for (const bytes of lent) bytes.giveBack();
    }
  }

  async #open(process: RunnerProcess, spec: SessionSpec): Promise<Instance> {
    const { loadLimitMs } = this.#options;
    const mailbox = this.#room.open();
    const number = ++lastNumber;
    const instance = { number, spec, mailbox, process, busy: false, renewal: undefined };
    try {
      this.#info = sameAs(this.#info, await process.load(number, mailbox.path, spec, loadLimitMs));
      return instance;
    } catch (error) {
      this.#discard(instance);
      throw error;
    }
  }

  #discard({ mailbox, number, process, renewal }: Instance): void {
    clearTimeout(renewal);
    this.#room.close(mailbox);
    void process.unload(number, this.#options.loadLimitMs);
  }

  /** A dead process' instance: its mailbox is closed here, or by the run that still holds it. */
  #drop(instance: Instance): void {
    clearTimeout(instance.renewal);
    this.#instances = this.#instances.filter((other) => other !== instance);
    if (!instance.busy) this.#room.close(instance.mailbox);
  }

  /**
   * ONNX Runtime keeps the memory of a run for later ones. The memory of oversized runs is freed by opening the session again, once
   * the caller has paused for a moment: opening it after each such run would leave time for little work.
   */
  #renewLater(instance: Instance): void {
    clearTimeout(instance.renewal);
    const pause = this.#renewedAt + RENEW_PAUSE_MS - performance.now();
    instance.renewal = setTimeout(() => void this.#renew(instance), Math.max(RENEW_AFTER_MS, pause)).unref();
  }

  /** Opens the session of an idle instance again. Requests wait for it, or take another instance. */
  async #renew(instance: Instance): Promise<void> {
    const { process: runner, spec, number } = instance;
    instance.renewal = undefined;
    if (!this.#instances.includes(instance) || !runner.alive) return;
    if (instance.busy) {
      this.#renewLater(instance);
      return;
    }
    this.#renewedAt = performance.now();
    this.#instances = this.#instances.filter((other) => other !== instance);
    this.#room.close(instance.mailbox);
    try {
      await runner.unload(number, this.#options.loadLimitMs);
      const renewed = await this.#open(runner, spec);
      if (this.#process !== runner || !runner.alive) {
        this.#discard(renewed);
        return;
      }
      this.#instances.push(renewed);
      this.#options.onIdle();
    } catch (error) {
      // It has an instance less now: its successor has all of them.
      const reason = messageOf(error);
      runner.kill(`a session could not be opened again: ${reason}`);
    }
  }
}

function isIdle({ busy, process }: Instance): boolean {
  return !busy && process.alive;
}

function atOnce(): number {
  return Number.NEGATIVE_INFINITY;
}
