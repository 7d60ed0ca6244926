/** One acceptor as its owner sees it: a thread, the line to it, and its end. */

import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../../../error-message.ts';
import { keepWrappers } from '../../../source-threads.ts';
import { BorrowedTensors } from '../../landing/borrowed-tensors.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import {
  AcceptorCells,
  type AcceptorSpec,
  type FromAcceptor,
  isParcel,
  type ThreadGauges,
  type ToAcceptor,
} from './acceptor-protocol.ts';
import { CallDesk, type NumberedRoutes } from './call-desk.ts';

// `.ts` in a checkout, `.js` in the package.
const THREAD = new URL(`../../acceptor-thread${extname(import.meta.url)}`, import.meta.url);

/** Beyond the grace of its drain, a thread that does not end is ended. */
const CLOSE_MS = 1_000;

export class Acceptor {
  readonly port: number;
  /** Resolves with the cause when the thread has ended. */
  readonly ended: Promise<string>;
  readonly #worker: Worker;
  readonly #cells: AcceptorCells;
  #hasEnded = false;
  #lostCalls = 0;
  #drained: Promise<void> | undefined;
  #onDrained: () => void = () => {};

  private constructor(started: StartedThread, cells: AcceptorCells) {
    const { worker, desk, port, ended } = started;
    this.port = port;
    this.#worker = worker;
    this.#cells = cells;
    this.ended = ended.then((cause) => {
      this.#hasEnded = true;
      this.#onDrained();
      this.#lostCalls = desk.size;
      desk.lose();
      return cause;
    });
    started.onDrained(() => this.#onDrained());
  }

  /** @throws Error that says why it does not serve */
  static async start(spec: AcceptorSpec, routes: NumberedRoutes): Promise<Acceptor> {
    const cells = new AcceptorCells(spec.cells);
    return new Acceptor(await startThread(spec, routes, cells), cells);
  }

  get gauges(): ThreadGauges {
    return this.#cells.gauges;
  }

  /** Calls that its end has cancelled. */
  get lostCalls(): number {
    return this.#lostCalls;
  }

  /** As `Transport.drain`. The thread has ended when it resolves. */
  drain(graceMs: number): Promise<void> {
    this.#drained ??= this.#drain(graceMs);
    return this.#drained;
  }

  async #drain(graceMs: number): Promise<void> {
    if (this.#hasEnded) return;
    const drained = new Promise<void>((resolve) => {
      this.#onDrained = resolve;
    });
    const request: ToAcceptor = { kind: 'drain', graceMs };
    this.#worker.postMessage(request);
    const late = setTimeout(() => this.#onDrained(), graceMs + CLOSE_MS);
    await drained;
    clearTimeout(late);
    await this.#worker.terminate();
    await this.ended;
  }
}

interface StartedThread {
  readonly worker: Worker;
  readonly desk: CallDesk;
  readonly port: number;
  readonly ended: Promise<string>;
  onDrained(listener: () => void): void;
}

function startThread(spec: AcceptorSpec, routes: NumberedRoutes, cells: AcceptorCells): Promise<StartedThread> {
  keepWrappers(import.meta.url);
  const worker = new Worker(THREAD, { workerData: spec, name: `acceptor-${spec.acceptor}` });
  const { landingDirectory } = spec;
  const borrowed = landingDirectory === undefined ? undefined : BorrowedTensors.in(landingDirectory);
  const desk = new CallDesk(routes, (parcel) => worker.postMessage(parcel, parcel), borrowed);
  let notifyDrained = (): void => {};
  const ended = endOf(worker);
  return new Promise((resolve, reject) => {
    worker.on('message', (message: FromAcceptor) => {
      if (isParcel(message)) {
        cells.take();
        desk.receive(message);
        return;
      }
      switch (message.kind) {
        case 'listening': {
          const onDrained = (listener: () => void): void => {
            notifyDrained = listener;
          };
          resolve({ worker, desk, port: message.port, ended, onDrained });
          return;
        }
        case 'refused':
          reject(new Error(message.text));
          void worker.terminate();
          return;
        case 'drained':
          notifyDrained();
          return;
        case 'notice': {
          const { level, text, cause } = message;
          diagnostics.notice.publish({ level, text: `acceptor ${spec.acceptor}: ${text}`, ...(cause && { cause }) });
          return;
        }
        case 'limit':
          diagnostics.limitReached.publish({ limit: message.limit });
      }
    });
    void ended.then((cause) => reject(new Error(`acceptor ${spec.acceptor} does not start: ${cause}`)));
  });
}

function endOf(worker: Worker): Promise<string> {
  return new Promise((resolve) => {
    let cause: string | undefined;
    worker.once('error', (error) => {
      cause = messageOf(error);
    });
    worker.once('exit', (code) => resolve(cause ?? `its thread ended with code ${code}`));
  });
}
