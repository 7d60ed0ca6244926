/** Load from this process: a closed loop for cost and capacity, an open loop for what arrives in time. */

import grpc from '@grpc/grpc-js';

const MODEL_INFER = '/inference.GRPCInferenceService/ModelInfer';
const CONNECTIONS = 4;

const asIs = (bytes: Buffer): Buffer => bytes;

/** Connections to a server that send one encoded message again and again. */
export class Load implements Disposable {
  readonly #clients: readonly grpc.Client[];
  readonly #message: Buffer;

  constructor(port: number, message: Uint8Array) {
    this.#message = Buffer.from(message);
    this.#clients = Array.from(
      { length: CONNECTIONS },
      (_, index) =>
        new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
          'grpc.max_receive_message_length': -1,
          'grpc.max_send_message_length': -1,
          'grpc.use_local_subchannel_pool': 1,
          'grpc-node.flow_control_window': 4 << 20,
          // Channels with equal options would share a connection.
          'grpc.primary_user_agent': `bench-${index}`,
        }),
    );
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }

  /** Keeps `inFlight` calls under way for `ms`; resolves with how many were answered. Rejects with the first error. */
  async closedLoop(inFlight: number, ms: number): Promise<number> {
    const end = performance.now() + ms;
    let answered = 0;
    const worker = async (index: number): Promise<void> => {
      while (performance.now() < end) {
        const { error } = await this.#call(index, {});
        if (error !== undefined) throw error;
        answered++;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, (_, index) => worker(index)));
    return answered;
  }

  /**
   * Sends at `ratePerS` with exponential gaps for `ms`, whether or not answers come, each call with a deadline of `deadlineMs`.
   * Latency counts from the moment at which a call was due.
   */
  async openLoop(ratePerS: number, ms: number, deadlineMs: number): Promise<OpenLoopResult> {
    const start = performance.now();
    const result: OpenLoopResult = { sent: 0, inTime: 0, late: 0, refused: 0, failed: 0, sentLate: 0, answeredMs: [] };
    const pending: Promise<void>[] = [];
    let due = start;
    for (let index = 0; due < start + ms; index++) {
      due += (-Math.log(1 - Math.random()) / ratePerS) * 1_000;
      for (let left = due - performance.now(); left > 0; left = due - performance.now()) {
        await new Promise((resolve) => (left > 1.5 ? setTimeout(resolve, left - 1) : setImmediate(resolve)));
      }
      if (performance.now() - due > 5) result.sentLate++;
      result.sent++;
      pending.push(this.#counted(index, due, deadlineMs, result));
    }
    await Promise.all(pending);
    return result;
  }

  async #counted(index: number, due: number, deadlineMs: number, result: OpenLoopResult): Promise<void> {
    const { error } = await this.#call(index, { deadline: Date.now() + deadlineMs - (performance.now() - due) });
    if (error === undefined) result.answeredMs.push(performance.now() - due);
    if (error === undefined && performance.now() - due <= deadlineMs) result.inTime++;
    else if (error === undefined || error.code === grpc.status.DEADLINE_EXCEEDED) result.late++;
    else if (error.code === grpc.status.RESOURCE_EXHAUSTED) result.refused++;
    else result.failed++;
  }

  #call(index: number, options: grpc.CallOptions): Promise<{ error?: grpc.ServiceError }> {
    const client = this.#clients[index % CONNECTIONS];
    return new Promise((resolve) => {
      client?.makeUnaryRequest(MODEL_INFER, asIs, asIs, this.#message, new grpc.Metadata(), options, (error) =>
        resolve(error === null ? {} : { error }),
      );
    });
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
