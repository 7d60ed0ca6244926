/**
 * The gateway's end of an instance's run channel: a run out, its outcome in, and a watch over every run.
 *
 * CHANNEL-1: one run at a time.
 * CHANNEL-2: a run settles once: by the outcome that the thread reports, or by the end of the process.
 */

import type net from 'node:net';
import { messageOf } from '../../error-message.ts';
import type { Run, SessionInfo } from '../../worker/protocol.ts';
import { FrameError, FrameReader, FrameWriter, type TensorNumbers, tensorNumbers } from '../../worker/run-frame.ts';
import type { PlacedAnswer, RunOutcome } from '../../worker/run-outcome.ts';
import type { InstanceCalls } from './instance-calls.ts';
import type { RunBounds, RunWatch } from './run-watch.ts';
import { outcomeUnder, type RunnerEnd } from './runner-end.ts';

/** A process that dies closes its channels shortly before its end is reported; one that still lives then has lost a thread. */
const DEATH_NOTICE_MS = 1_000;

export class InstanceChannel {
  readonly #socket: net.Socket;
  readonly #info: SessionInfo;
  readonly #inputs: TensorNumbers;
  /** Ends the process: it is hung or broken. */
  readonly #kill: (end: RunnerEnd) => void;
  readonly #reader = new FrameReader();
  readonly #writer = new FrameWriter();
  readonly #watch: RunWatch;
  /** Only code models have it. */
  readonly #calls: InstanceCalls | undefined;
  #settle: ((outcome: RunOutcome<PlacedAnswer>) => void) | undefined;
  /** How long the run may take. */
  #maxMs = 0;
  #deathNotice: NodeJS.Timeout | undefined;

  constructor(
    socket: net.Socket,
    info: SessionInfo,
    watch: RunWatch,
    kill: (end: RunnerEnd) => void,
    calls?: InstanceCalls,
  ) {
    this.#socket = socket;
    this.#info = info;
    this.#inputs = tensorNumbers(info.inputs);
    this.#watch = watch;
    this.#kill = kill;
    this.#calls = calls;
    socket.on('data', this.#receive);
    socket.on('close', this.#lost);
    // It may have gone while the model was loaded.
    if (socket.destroyed) this.#lost();
  }

  /** Never rejects. The watch kills the process where the run must not go on. */
  run(run: Run, bounds: RunBounds): Promise<RunOutcome<PlacedAnswer>> {
    return new Promise((resolve) => {
      if (this.#settle !== undefined) {
        resolve({ kind: 'failed', error: new Error('the instance runs a batch already') });
        return;
      }
      let frame: Uint8Array;
      try {
        frame = this.#writer.run(run, this.#inputs);
      } catch (error) {
        resolve({ kind: 'failed', error });
        return;
      }
      this.#settle = resolve;
      this.#maxMs = bounds.maxMs;
      this.#calls?.begin(bounds.demand?.calls);
      this.#watch.start({ ...bounds, mayWait: this.#calls !== undefined });
      // A frame that cannot be written needs no handling: the process is going, and its end settles the run.
      this.#socket.write(frame);
    });
  }

  get running(): boolean {
    return this.#settle !== undefined;
  }

  end(end: RunnerEnd): void {
    this.close();
    if (this.running) this.#answer(outcomeUnder(end, this.#watch.instance, this.#maxMs));
  }

  /** Ends the channel, by which the thread knows that its instance is no longer needed. */
  close(): void {
    this.#watch.stop();
    clearTimeout(this.#deathNotice);
    this.#calls?.close();
    this.#socket.off('close', this.#lost);
    this.#socket.destroy();
  }

  readonly #receive = (piece: Uint8Array): void => {
    try {
      const outcome = this.#reader.push(piece)?.outcome(this.#info.outputs);
      if (outcome === undefined) return;
      if (this.#settle === undefined) throw new FrameError('an outcome without a run');
      this.#watch.stop();
      this.#answer(outcome);
    } catch (error) {
      // No byte after this one can be understood.
      this.#socket.off('data', this.#receive);
      const text = messageOf(error);
      this.#kill({ cause: `sent a malformed frame: ${text}`, timedOut: false });
    }
  };

  readonly #lost = (): void => {
    this.#watch.stop();
    this.#deathNotice = setTimeout(this.#kill, DEATH_NOTICE_MS, { cause: 'a thread of it ended', timedOut: false });
  };

  #answer(outcome: RunOutcome<PlacedAnswer>): void {
    const settle = this.#settle;
    this.#settle = undefined;
    this.#calls?.end();
    settle?.(outcome);
  }
}
