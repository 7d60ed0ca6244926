/** Load from this process: a closed loop for cost and capacity, an open loop for what arrives in time. */

import type { CallOutcome, PreparedCall } from '../src/bench/call-target.ts';
import { GrpcTarget } from '../src/bench/grpc-target.ts';
import { closedLoop } from '../src/bench/loops.ts';

/** No call names a deadline. */
const NO_DEADLINE_MS = Number.POSITIVE_INFINITY;

/** Connections to a server that send one encoded message again and again. */
export class Load implements Disposable {
  readonly #target: GrpcTarget;
  readonly #call: PreparedCall;

  constructor(port: number, message: Uint8Array) {
    const host = '127.0.0.1';
    const address = { host, port, target: `${host}:${port}`, tls: undefined, headers: {} };
    this.#target = new GrpcTarget(address, { name: '', version: '' });
    this.#call = this.#target.prepareMessage(Buffer.from(message));
  }

  [Symbol.dispose](): void {
    this.#target[Symbol.dispose]();
  }

  /** Keeps `inFlight` calls under way for `ms`; resolves with how many were answered. Rejects with the first failure. */
  async closedLoop(inFlight: number, ms: number): Promise<number> {
    const openAt = performance.now();
    const window = { openAt, closeAt: openAt + ms };
    const { answers, firstFailure } = await closedLoop([this.#call], inFlight, window, NO_DEADLINE_MS);
    if (firstFailure !== undefined) throw new Error(firstFailure);
    return answers;
  }

  /**
   * Sends at `ratePerS` with exponential gaps for `ms`, whether or not answers come, each call with a deadline of `deadlineMs`.
   * Latency counts from the moment at which a call was due. Unlike the loop of `tensorgate bench`, this one keeps a core busy before
   * each call, to measure latencies far below a millisecond.
   */
  async openLoop(ratePerS: number, ms: number, deadlineMs: number): Promise<OpenLoopResult> {
    const start = performance.now();
    const result: OpenLoopResult = { sent: 0, inTime: 0, late: 0, refused: 0, failed: 0, sentLate: 0, answeredMs: [] };
    const pending: Promise<void>[] = [];
    let due = start;
    while (due < start + ms) {
      due += (-Math.log(1 - Math.random()) / ratePerS) * 1_000;
      for (let left = due - performance.now(); left > 0; left = due - performance.now()) {
        await new Promise((resolve) => (left > 1.5 ? setTimeout(resolve, left - 1) : setImmediate(resolve)));
      }
      if (performance.now() - due > 5) result.sentLate++;
      result.sent++;
      pending.push(this.#counted(due, deadlineMs, result));
    }
    await Promise.all(pending);
    return result;
  }

  async #counted(due: number, deadlineMs: number, result: OpenLoopResult): Promise<void> {
    const { status }: CallOutcome = await this.#call(deadlineMs - (performance.now() - due));
    if (status === 'OK') result.answeredMs.push(performance.now() - due);
    if (status === 'OK' && performance.now() - due <= deadlineMs) result.inTime++;
    else if (status === 'OK' || status === 'DEADLINE_EXCEEDED') result.late++;
    else if (status === 'RESOURCE_EXHAUSTED') result.refused++;
    else result.failed++;
  }
}

export interface OpenLoopResult {
  sent: number;
  /** Answered within the deadline, from the moment at which it was due. */
  inTime: number;
  late: number;
  refused: number;
  failed: number;
  /** Sent more than 5 ms after it was due: the generator could not keep up. */
  sentLate: number;
  /** What each answer took, from the moment at which its call was due. */
  readonly answeredMs: number[];
}
