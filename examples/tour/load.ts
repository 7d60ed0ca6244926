/** Callers of the tour: requests at random times (Poisson) to several models, more of them for a while. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type AnyTensor, InferenceClient, tensor } from '../../src/client/inference-client.ts';

export interface Flow {
  readonly model: string;
  /** Requests a second. */
  readonly rate: number;
  readonly deadlineMs: number;
  inputs(): Readonly<Record<string, AnyTensor>>;
}

/** Requests of one flow, until it is stopped. Failures are part of the picture. */
export class Load {
  readonly #client: InferenceClient;
  readonly #running: Promise<void>[] = [];
  #stopped = false;

  constructor(address: string) {
    this.#client = new InferenceClient(address, { deadlineMs: 10_000 });
  }

  /** @param seconds after which the flow ends; without it, it ends with the load */
  start(flow: Flow, seconds = Number.POSITIVE_INFINITY): void {
    this.#running.push(this.#run(flow, performance.now() + seconds * 1_000));
  }

  async #run({ model, rate, deadlineMs, inputs }: Flow, endMs: number): Promise<void> {
    let dueMs = performance.now();
    while (!this.#stopped && performance.now() < endMs) {
      dueMs += (-Math.log(1 - Math.random()) / rate) * 1_000;
      const pauseMs = dueMs - performance.now();
      if (pauseMs > 1) await sleep(pauseMs);
      // An open loop: the next caller does not wait for the answer to this one.
      void this.#client.infer(model, inputs(), { deadlineMs }).catch(() => {});
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    this.#client.close();
  }
}

/** Values from 0 to 1. */
export function randomFloats(shape: readonly number[]): AnyTensor {
  const elements = shape.reduce((all, size) => all * size, 1);
  return tensor.fp32(Float32Array.from({ length: elements }, Math.random), shape);
}
