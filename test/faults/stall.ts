import { vi } from 'vitest';
import type { InferenceClient } from '../../src/client/inference-client.ts';
import type { TestServer } from '../support/server.ts';
import { askLoop } from './loop-requests.ts';
import { readHeld } from './observation.ts';

/** Resolves when so many requests wait, and so many are in runners. */
export async function untilHeld(server: TestServer, waiting: number, running: number): Promise<void> {
  await vi.waitUntil(
    async () => {
      const held = await readHeld(server);
      return held.waiting === waiting && held.running === running;
    },
    { timeout: 10_000, interval: 2 },
  );
}

/**
 * The only instance of the loop model, kept busy: its runner is stopped with a request in it. That must not last longer than
 * the two seconds after which a run counts as hung.
 */
export class Stall {
  readonly #runner: number;
  readonly #answer: Promise<number>;

  private constructor(runner: number, answer: Promise<number>) {
    this.#runner = runner;
    this.#answer = answer;
  }

  /** The model `loop` must be the first of the server's, and idle. */
  static async begin(server: TestServer, client: InferenceClient): Promise<Stall> {
    const [runner = Number.NaN] = server.runnerPids();
    process.kill(runner, 'SIGSTOP');
    const answer = askLoop(client, -1, { deadlineMs: 20_000 });
    await untilHeld(server, 0, 1);
    return new Stall(runner, answer);
  }

  /** The runner goes on. Resolves with the answer to the request that was in it, which is -1. */
  end(): Promise<number> {
    process.kill(this.#runner, 'SIGCONT');
    return this.#answer;
  }
}
