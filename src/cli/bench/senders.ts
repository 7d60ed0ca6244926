/** Chooses how many processes send the load. */

import os from 'node:os';
import type { PreparedCall } from '../../bench/call-target.ts';
import type { LoadDescription } from '../../bench/load-message.ts';
import { LoadProcesses } from '../../bench/load-processes.ts';
import { type LoadSender, OwnLoad } from '../../bench/load-sender.ts';
import type { LevelResult } from '../../bench/result.ts';

export class Senders implements Disposable {
  readonly #load: LoadDescription;
  readonly #own: OwnLoad;
  /** More than cores would only wait for each other. */
  readonly #most: number;
  #count: number;
  #others: LoadProcesses | undefined;

  /**
   * @param calls that this process sends
   * @param count of processes; `undefined`: one at first, then as many as it takes
   */
  constructor(load: LoadDescription, calls: readonly PreparedCall[], count: number | undefined) {
    this.#load = load;
    this.#own = new OwnLoad(calls);
    this.#count = count ?? 1;
    this.#most = count ?? os.availableParallelism();
  }

  /** Runs a level; again with twice the processes while the client is the bottleneck, and there are cores. */
  async run(measure: (sender: LoadSender) => Promise<LevelResult>): Promise<LevelResult> {
    for (;;) {
      const result = await measure(await this.#sender());
      if (result.client.bottleneck === undefined || this.#count >= this.#most) return result;
      this.#count = Math.min(this.#most, 2 * this.#count);
    }
  }

  async #sender(): Promise<LoadSender> {
    if (this.#count === 1) return this.#own;
    if (this.#others?.processes !== this.#count) {
      this.#others?.[Symbol.dispose]();
      this.#others = await LoadProcesses.start(this.#count, this.#load);
    }
    return this.#others;
  }

  [Symbol.dispose](): void {
    this.#others?.[Symbol.dispose]();
  }
}
