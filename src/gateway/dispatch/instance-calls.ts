/**
 * The gateway's end of an instance's call channel: the calls to other models that the code of a model makes while it runs.
 *
 * CALLS-1: a call belongs to the run that makes it, and ends with it at the latest.
 * CALLS-2: when no caller waits for the run any more, its calls are cancelled, and the code is notified.
 */

import type net from 'node:net';
import { messageOf } from '../../error-message.ts';
import {
  CALL_FRAME,
  CALL_HEAD_BYTES,
  type CallFailure,
  type CallFrame,
  CallFrameReader,
  encodeCallFrame,
} from '../../worker/call-frame.ts';
import type { SessionSpec } from '../../worker/protocol.ts';
import type { CodeCalls, InnerCall } from '../batch/code-calls.ts';
import type { RunnerEnd } from './runner-end.ts';

/** How often it looks whether a caller still waits: a batch has many, and no single event says that all are gone. */
const LOOK_MS = 25;
/** A double with the time that the call may take. */
const LIMIT_BYTES = 8;

const ENDED: CallFailure = { reason: 'cancelled', status: 'CANCELLED', message: 'the run has ended' };
const NO_REQUEST: CallFailure = {
  reason: 'invalid_request',
  status: 'INVALID_ARGUMENT',
  message: 'models can be called only while a request is answered, not by samples of a warm-up or golden inputs',
};

export class InstanceCalls {
  readonly #socket: net.Socket;
  readonly #reader: CallFrameReader;
  readonly #kill: (end: RunnerEnd) => void;
  readonly #open = new Map<number, InnerCall>();
  #run = 0;
  #calls: CodeCalls | undefined;
  #isRunning = false;
  #isAborted = false;
  #look: NodeJS.Timeout | undefined;

  /** @param kill ends the process, which is broken */
  constructor(socket: net.Socket, { step }: SessionSpec, kill: (end: RunnerEnd) => void) {
    this.#socket = socket;
    const maxBytes = step?.kind === 'javascript' ? step.maxCallBytes : 0;
    this.#reader = new CallFrameReader(maxBytes + CALL_HEAD_BYTES);
    this.#kill = kill;
    socket.on('data', this.#receive);
  }

  begin(calls: CodeCalls | undefined): void {
    this.#run++;
    this.#calls = calls;
    this.#isRunning = true;
    this.#isAborted = false;
    if (calls !== undefined) this.#look = setInterval(() => this.#abortIfAbandoned(), LOOK_MS).unref();
  }

  end(): void {
    clearInterval(this.#look);
    this.#isRunning = false;
    this.#cancelAll();
    this.#calls = undefined;
  }

  close(): void {
    this.end();
    this.#socket.destroy();
  }

  readonly #receive = (piece: Uint8Array): void => {
    try {
      for (const frame of this.#reader.push(piece)) this.#take(frame);
    } catch (error) {
      // No byte after this one can be understood.
      this.#socket.off('data', this.#receive);
      this.#kill({ cause: `sent a malformed call: ${messageOf(error)}`, timedOut: false });
    }
  };

  #take({ kind, id, run, payload }: CallFrame): void {
    if (kind === CALL_FRAME.cancel) {
      this.#open.get(id)?.cancel();
      return;
    }
    const isCall = kind === CALL_FRAME.call && payload.byteLength >= LIMIT_BYTES;
    if (!isCall && kind !== CALL_FRAME.send) throw new Error('neither a call nor an answer');
    if (!this.#isRunning || run !== this.#run) this.#fail(id, run, ENDED);
    else if (this.#calls === undefined) this.#fail(id, run, NO_REQUEST);
    else if (isCall) void this.#answer(this.#calls, id, run, started(this.#calls, payload));
    else void this.#answer(this.#calls, id, run, { outcome: this.#calls.send(payload), cancel: () => {} });
  }

  /** Never rejects. */
  async #answer(calls: CodeCalls, id: number, run: number, call: InnerCall): Promise<void> {
    if (this.#open.size === 0) calls.wait(true);
    this.#open.set(id, call);
    const outcome = await call.outcome;
    if (!this.#open.delete(id)) return;
    if (this.#open.size === 0) calls.wait(false);
    if (outcome.kind === 'ok') this.#send({ kind: CALL_FRAME.answer, id, run }, outcome.chunks);
    else this.#fail(id, run, outcome.failure);
  }

  #fail(id: number, run: number, failure: CallFailure): void {
    this.#send({ kind: CALL_FRAME.failure, id, run }, [Buffer.from(JSON.stringify(failure))]);
  }

  #send(head: Omit<CallFrame, 'payload'>, payload: readonly Uint8Array[] = []): void {
    this.#socket.cork();
    for (const chunk of encodeCallFrame(head, payload)) this.#socket.write(chunk);
    this.#socket.uncork();
  }

  #abortIfAbandoned(): void {
    if (this.#isAborted || this.#calls?.isAbandoned !== true) return;
    this.#isAborted = true;
    this.#send({ kind: CALL_FRAME.abort, id: 0, run: this.#run });
    for (const call of this.#open.values()) call.cancel();
  }

  #cancelAll(): void {
    if (this.#open.size === 0) return;
    const left = [...this.#open.values()];
    this.#open.clear();
    this.#calls?.wait(false);
    for (const call of left) call.cancel();
  }
}

function started(calls: CodeCalls, payload: Uint8Array<ArrayBuffer>): InnerCall {
  const [limitMs = 0] = new Float64Array(payload.buffer, 0, 1);
  return calls.start(payload.subarray(LIMIT_BYTES), limitMs);
}
