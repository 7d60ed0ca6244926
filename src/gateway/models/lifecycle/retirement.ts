/**
 * Versions outside the table: those that load before anyone can find them, and those that left the table and answer what they
 * accepted before they end. Files that clients sent go with the last version that was made from them.
 */

import { messageOf } from '../../../error-message.ts';
import { diagnostics, type ModelState } from '../../ops/diagnostics.ts';
import type { ModelTable } from '../model-table.ts';
import type { Servable } from '../servable.ts';
import type { ManagedModel } from './managed-model.ts';
import type { ModelMemory } from './model-memory.ts';
import type { Origin } from './model-sources.ts';
import type { ModelUpload } from './model-upload.ts';

export class Retirement {
  readonly #models: ModelTable;
  readonly #memory: Pick<ModelMemory, 'release'>;
  readonly #origins: WeakMap<Servable, Origin>;
  readonly #aside = new Set<Servable>();
  readonly #uploads = new Set<ModelUpload>();

  constructor(models: ModelTable, memory: Pick<ModelMemory, 'release'>, origins: WeakMap<Servable, Origin>) {
    this.#models = models;
    this.#memory = memory;
    this.#origins = origins;
  }

  /** Every version that lives, in the table and outside. */
  get living(): Servable[] {
    return [...this.#models.all(), ...this.#aside];
  }

  /** Counts versions as living while `load` runs. */
  async during<T>(versions: readonly Servable[], load: () => Promise<T>): Promise<T> {
    for (const servable of versions) this.#aside.add(servable);
    try {
      return await load();
    } finally {
      for (const servable of versions) this.#aside.delete(servable);
    }
  }

  /** Ends a version at once, and gives its memory back. */
  end(servable: Servable): void {
    servable.close();
    this.#memory.release(servable);
  }

  /**
   * Ends a version that left the table when it has answered what it accepted. Never rejects.
   * @param isReplaced whether another one serves under its version: then its end is no change of the model
   */
  async retire({ notes }: Pick<ManagedModel, 'notes'>, servable: Servable, isReplaced: boolean): Promise<void> {
    const { ref } = servable;
    const note = (state: ModelState, reason: string): void => {
      if (isReplaced) return;
      notes.set(ref.version, { state, reason });
      diagnostics.modelChanged.publish({ model: ref, state, detail: reason, isIntended: true });
    };
    this.#aside.add(servable);
    note('UNLOADING', 'answers what it accepted');
    await servable.drained();
    this.end(servable);
    this.#aside.delete(servable);
    // The version may have been loaded again meanwhile.
    if (notes.get(ref.version)?.state === 'UNLOADING') note('UNAVAILABLE', 'unloaded');
    const upload = this.#origins.get(servable)?.upload;
    if (upload !== undefined) this.discardUnlessUsed(ref.name, upload);
  }

  addUpload(upload: ModelUpload): void {
    this.#uploads.add(upload);
  }

  /** Removes files that no living version of the model was made from. */
  discardUnlessUsed(name: string, upload: ModelUpload): void {
    const servables = [...this.#models.versionsOf(name), ...this.#aside];
    if (servables.some((servable) => this.#origins.get(servable)?.upload === upload)) return;
    this.#uploads.delete(upload);
    void upload.remove().catch((error: unknown) => {
      const text = `files of a model that a client sent were not removed: ${messageOf(error)}`;
      diagnostics.notice.publish({ level: 'warn', text });
    });
  }

  /** Ends every living version, and removes what clients sent. */
  async close(): Promise<void> {
    for (const servable of this.living) this.end(servable);
    await Promise.all([...this.#uploads].map((upload) => upload.remove()));
  }
}
