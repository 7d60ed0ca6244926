/**
 * The gateway's end of an instance's run channel: a run out, its report in, a limit for every run.
 *
 * I1: one run at a time.
 * I2: a run settles once: by its report, or by the end of the process.
 */

import type net from 'node:net';
import type { Run, RunReport, SessionInfo } from '../../worker/protocol.ts';
import { FrameError, FrameReader, FrameWriter, type TensorNumbers, tensorNumbers } from '../../worker/run-frame.ts';
import { MUCH_MEMORY, runMemoryLimit } from './runner-memory.ts';

/** How a runner process ended, or why it is to end. */
export interface RunnerEnd {
  /** Such as `killed by SIGSEGV`. */
  readonly cause: string;
  /** It was killed because a run, or a load, gave no answer within its limit. */
  readonly timedOut: boolean;
  /** It was killed for the memory that a run took: the only one at that time, or one of several. */
  readonly memory?: 'of-one-run' | 'of-some-run';
}

export type RunReply = RunReport | ({ readonly kind: 'ended' } & RunnerEnd);

/** A process that dies closes its channels a moment before its end is told; one that still lives then has lost a thread. */
const DEATH_NOTICE_MS = 1_000;
/** Runs that take longer are looked at this often. */
const LOOK_MS = 100;

export class InstanceChannel {
  readonly #socket: net.Socket;
  readonly #info: SessionInfo;
  readonly #inputs: TensorNumbers;
  /** Ends the process: it is hung or broken. */
  readonly #kill: (end: RunnerEnd) => void;
  readonly #reader = new FrameReader();
  readonly #writer = new FrameWriter();
  #settle: ((reply: RunReply) => void) | undefined;
  #limit: NodeJS.Timeout | undefined;
  readonly #memory: () => number;
  /** The run that is under way: its limit and its end in milliseconds, and the memory of the process at the first look. */
  #limitMs = 0;
  #endsAt = 0;
  #memoryBefore: number | undefined;

  /** @param memory that the process holds, in bytes */
  constructor(socket: net.Socket, info: SessionInfo, kill: (end: RunnerEnd) => void, memory: () => number) {
    this.#memory = memory;
    this.#socket = socket;
    this.#info = info;
    this.#inputs = tensorNumbers(info.inputs);
    this.#kill = kill;
    socket.on('data', this.#hear);
    socket.on('close', this.#lost);
    // It may have gone while the model was loaded.
    if (socket.destroyed) this.#lost();
  }

  /** Never rejects. Kills the process where no answer comes within `limitMs`. */
  run(run: Run, limitMs: number): Promise<RunReply> {
    return new Promise((resolve) => {
      if (this.#settle !== undefined) {
        resolve(ourFault('the instance runs a batch already'));
        return;
      }
      let frame: Uint8Array;
      try {
        frame = this.#writer.run(run, this.#inputs);
      } catch (error) {
        resolve(ourFault(error instanceof Error ? error.message : String(error)));
        return;
      }
      this.#settle = resolve;
      this.#limitMs = limitMs;
      this.#endsAt = performance.now() + limitMs;
      this.#memoryBefore = undefined;
      this.#limit = setTimeout(this.#look, Math.min(LOOK_MS, limitMs));
      // What cannot be written needs no handling: the process is going, and its end settles the run.
      this.#socket.write(frame);
    });
  }

  get running(): boolean {
    return this.#settle !== undefined;
  }

  /** The process is gone. */
  end(end: RunnerEnd): void {
    this.close();
    this.#answer({ kind: 'ended', ...end });
  }

  /** Ends the channel, by which the thread knows that its instance is no longer needed. */
  close(): void {
    clearTimeout(this.#limit);
    this.#socket.off('close', this.#lost);
    this.#socket.destroy();
  }

  readonly #hear = (piece: Uint8Array): void => {
    try {
      const report = this.#reader.push(piece)?.report(this.#info.outputs);
      if (report === undefined) return;
      if (this.#settle === undefined) throw new FrameError('a report that nobody waits for');
      clearTimeout(this.#limit);
      this.#answer(report);
    } catch (error) {
      // No byte after this one can be understood.
      this.#socket.off('data', this.#hear);
      const text = error instanceof Error ? error.message : String(error);
      this.#kill({ cause: `sent a malformed frame: ${text}`, timedOut: false });
    }
  };

  readonly #look = (): void => {
    const memory = this.#memory();
    this.#memoryBefore ??= memory;
    const taken = memory - this.#memoryBefore;
    const left = this.#endsAt - performance.now();
    const took = `took ${taken} bytes of memory for a run`;
    if (taken > runMemoryLimit()) {
      this.#kill({ cause: took, timedOut: false, memory: 'of-some-run' });
    } else if (left > 0) {
      this.#limit = setTimeout(this.#look, Math.min(LOOK_MS, left));
    } else {
      const late = `no answer within ${Math.round(this.#limitMs)} ms`;
      if (taken < MUCH_MEMORY) this.#kill({ cause: late, timedOut: true });
      else this.#kill({ cause: `${took}: ${late}`, timedOut: true, memory: 'of-some-run' });
    }
  };

  readonly #lost = (): void => {
    clearTimeout(this.#limit);
    this.#limit = setTimeout(this.#kill, DEATH_NOTICE_MS, { cause: 'a thread of it ended', timedOut: false });
  };

  #answer(reply: RunReply): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(reply);
  }
}

function ourFault(message: string): RunReply {
  return { kind: 'run-failed', fault: 'internal', message, bytes: 0 };
}
