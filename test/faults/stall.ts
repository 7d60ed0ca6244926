import { vi } from 'vitest';
import type { Caller } from '../support/caller.ts';
import { stopProcess } from '../support/process-tree.ts';
import type { TestServer } from '../support/server.ts';
import { askLoop } from './loop-requests.ts';
import { type Held, readHeld } from './observation.ts';

/** Resolves when so many requests wait, which may change meanwhile, and so many are in runners. */
export async function untilHeld(server: TestServer, waiting: number | (() => number), running: number): Promise<void> {
  await vi.waitUntil(
    async () => {
      const held = await readHeld(server);
      return held.waiting === (typeof waiting === 'number' ? waiting : waiting()) && held.running === running;
    },
    { timeout: 10_000, interval: 2 },
  );
}

/** Kills the runner of the first model with `signal`, at a moment at which the server holds what `isMoment` says. */
export async function killInBatch(
  server: TestServer,
  signal: NodeJS.Signals,
  isMoment: (held: Held) => boolean,
): Promise<void> {
  for (;;) {
    await vi.waitUntil(async () => isMoment(await readHeld(server)), { timeout: 15_000, interval: 2 });
    const [runner = Number.NaN] = server.runnerPids();
    // The moment lasts while the runner stands still, but for what it answered right before: the gateway takes that now.
    await stopProcess(runner);
    let isLasting = true;
    for (let sighting = 0; sighting < 5; sighting++) isLasting &&= isMoment(await readHeld(server));
    if (isLasting) process.kill(runner, signal);
    // All other signals wait for this; SIGKILL does not, and leaves no process to continue.
    if (!isLasting || signal !== 'SIGKILL') process.kill(runner, 'SIGCONT');
    if (!isLasting) continue;
    // The gateway knows of its end.
    await vi.waitUntil(() => !server.runnerPids().includes(runner), { timeout: 2_000, interval: 1 });
    return;
  }
}

/**
 * The only instance of the loop model, kept busy: its runner is stopped with a request in it. That must not last longer than
 * the two seconds after which a run counts as hung. Disposing of it resumes the runner, also where a test fails in between.
 */
export class Stall implements AsyncDisposable {
  readonly #runner: number;
  readonly #answer: Promise<number>;

  private constructor(runner: number, answer: Promise<number>) {
    this.#runner = runner;
    this.#answer = answer;
  }

  /** The model `loop` must be the first of the server's, and idle. */
  static async begin(server: TestServer, client: Pick<Caller, 'infer'>): Promise<Stall> {
    const [runner = Number.NaN] = server.runnerPids();
    await stopProcess(runner);
    const answer = askLoop(client, -1, { deadlineMs: 20_000 });
    await untilHeld(server, 0, 1);
    return new Stall(runner, answer);
  }

  /** The runner goes on. Resolves with the answer to the request that was in it, which is -1. */
  end(): Promise<number> {
    process.kill(this.#runner, 'SIGCONT');
    return this.#answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.end();
    } catch {
      // Its runner was killed meanwhile, or its server stopped.
    }
  }
}
