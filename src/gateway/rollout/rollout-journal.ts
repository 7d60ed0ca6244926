/** Writes the records of rollouts, and retries those that could not be written. */

import { diagnostics } from '../ops/diagnostics.ts';
import type { RolloutRecord } from './rollout-record.ts';
import type { StateDirectory } from './state-directory.ts';

export class RolloutJournal {
  readonly #state: Pick<StateDirectory, 'read' | 'write' | 'remove'>;
  readonly #unwritten = new Map<string, RolloutRecord>();

  constructor(state: Pick<StateDirectory, 'read' | 'write' | 'remove'>) {
    this.#state = state;
  }

  read(): Promise<readonly RolloutRecord[]> {
    return this.#state.read();
  }

  get hasUnwritten(): boolean {
    return this.#unwritten.size > 0;
  }

  /** @throws Error whose text says why the record cannot be written */
  async write(record: RolloutRecord): Promise<void> {
    await this.#state.write(record);
    this.#unwritten.delete(record.plan.model);
  }

  /** Writes a record that is in force already. Never rejects: a record that cannot be written is kept for `retry`. */
  async writeEventually(record: RolloutRecord): Promise<void> {
    const { model } = record.plan;
    const isNew = this.#unwritten.get(model) !== record;
    try {
      await this.write(record);
    } catch (cause) {
      this.#unwritten.set(model, record);
      if (!isNew) return;
      const text = `the end of the rollout of '${model}' is in force, and will be written down when it can be`;
      diagnostics.notice.publish({ level: 'error', text, cause });
    }
  }

  async retry(): Promise<void> {
    for (const record of this.#unwritten.values()) await this.writeEventually(record);
  }

  /** @throws Error whose text says why the record cannot be removed */
  async remove(model: string): Promise<void> {
    await this.#state.remove(model);
    this.#unwritten.delete(model);
  }
}
