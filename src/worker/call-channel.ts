/** The thread's end of its call channel: the code of a model calls other models through it, by the gateway. */

import net from 'node:net';
import {
  CALL_FRAME,
  CALL_HEAD_BYTES,
  type CallFailure,
  type CallFrame,
  CallFrameReader,
  encodeCallFrame,
} from './call-frame.ts';
import type { ChannelAddress } from './protocol.ts';
import { FrameReader } from './run-frame.ts';

/** A call that failed, as the code of a model sees it. */
export class FailedCall extends Error {
  readonly reason: string;
  readonly status: string;

  constructor({ reason, status, message }: CallFailure) {
    super(message);
    this.reason = reason;
    this.status = status;
  }
}

interface Pending {
  readonly resolve: (answer: Uint8Array<ArrayBuffer>) => void;
  readonly reject: (error: Error) => void;
}

/** A welcome is a run frame: a row of two doubles. */
const WELCOME_BYTES = 16;

export class CallChannel {
  readonly #socket: net.Socket;
  readonly #reader: CallFrameReader;
  readonly #maxBytes: number;
  readonly #pending = new Map<number, Pending>();
  #run = 0;
  #lastId = 0;
  #abort = new AbortController();

  private constructor(socket: net.Socket, maxBytes: number) {
    this.#socket = socket;
    this.#maxBytes = maxBytes;
    // Answers are as large as the outputs of a model may be, which the gateway bounds.
    this.#reader = new CallFrameReader(2 ** 32 - 1);
    socket.on('data', (bytes: Uint8Array) => {
      for (const frame of this.#reader.push(bytes)) this.#receive(frame);
    });
    socket.on('close', () => this.#rejectAll('the gateway has ended the call channel'));
  }

  /**
   * @param maxBytes of one call
   * @throws Error where the gateway does not wait there, or does not welcome the key
   */
  static async open({ path, key }: ChannelAddress, maxBytes: number): Promise<CallChannel> {
    const socket = net.connect(path);
    await new Promise<void>((resolve, reject) => {
      const refuse = (): void => reject(new Error('the gateway does not take the call channel'));
      const receive = (): void => {
        const welcome: Uint8Array | null = socket.read(WELCOME_BYTES);
        if (welcome === null) return;
        new FrameReader().push(welcome)?.welcome();
        socket.off('close', refuse);
        socket.off('readable', receive);
        resolve();
      };
      // An error is followed by the close.
      socket.on('error', () => {});
      socket.on('close', refuse);
      socket.on('readable', receive);
      socket.write(Buffer.from(key, 'hex'));
    });
    return new CallChannel(socket, maxBytes);
  }

  /** To be called at the beginning of each run. @returns a signal that aborts when no caller waits for the run any more */
  begin(): AbortSignal {
    this.#run++;
    this.#abort = new AbortController();
    return this.#abort.signal;
  }

  /** Ends the calls that the code has not awaited. */
  end(): void {
    this.#rejectAll('the run has ended');
  }

  /**
   * @param request an encoded ModelInferRequest, in chunks
   * @returns an encoded ModelInferResponse. Rejects with a FailedCall, or an Error where the call is too large.
   */
  call(request: readonly Uint8Array[], deadlineMs: number): Promise<Uint8Array<ArrayBuffer>> {
    const limit = new Uint8Array(new Float64Array([deadlineMs]).buffer);
    return this.#ask(CALL_FRAME.call, [limit, ...request]);
  }

  /** Sends an answer of the run's only request. Resolves when the caller has taken it; rejects as `call`. */
  async send(answer: readonly Uint8Array[]): Promise<void> {
    await this.#ask(CALL_FRAME.send, answer);
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(kind: CallFrame['kind'], payload: readonly Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = payload.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (bytes > this.#maxBytes + CALL_HEAD_BYTES) {
      const text = `the ${kind === CALL_FRAME.send ? 'answer' : 'call'} has ${bytes} bytes, expected at most ${this.#maxBytes} (maxMessageBytes)`;
      return Promise.reject(new Error(text));
    }
    if (this.#abort.signal.aborted) return Promise.reject(new Error('no caller waits for this run any more'));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#send(kind, id, payload);
    });
  }

  #send(kind: CallFrame['kind'], id: number, payload: readonly Uint8Array[] = []): void {
    this.#socket.cork();
    for (const chunk of encodeCallFrame({ kind, id, run: this.#run }, payload)) this.#socket.write(chunk);
    this.#socket.uncork();
  }

  #receive({ kind, id, run, payload }: CallFrame): void {
    if (kind === CALL_FRAME.abort) {
      if (run === this.#run) this.#abort.abort(new Error('no caller waits for this run any more'));
      return;
    }
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (kind === CALL_FRAME.answer) pending?.resolve(payload);
    else pending?.reject(new FailedCall(JSON.parse(Buffer.from(payload).toString())));
  }

  #rejectAll(reason: string): void {
    for (const [id, { reject }] of this.#pending) {
      this.#send(CALL_FRAME.cancel, id);
      reject(new Error(reason));
    }
    this.#pending.clear();
  }
}
