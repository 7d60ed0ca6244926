/**
 * Scans the repository periodically, and reports models to load again. A change counts when two scans in a row saw the same
 * files, so files that are still being written are not loaded.
 */

import { messageOf } from '../../../error-message.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import { fingerprintModel } from '../../repository/fingerprint.ts';
import { modelDirectory } from '../../repository/model-repository.ts';
import type { RepositoryListing } from './repository-listing.ts';

export interface RepositoryWatcher {
  readonly names: readonly string[];
  /** The files of a model have changed since the last report, or it is reported for the first time. */
  changed(name: string): void;
  /** There is no such model any more. */
  gone(name: string): void;
}

export class RepositoryWatch {
  readonly #directory: string;
  readonly #listing: Pick<RepositoryListing, 'read'>;
  readonly #watcher: RepositoryWatcher;
  /** Fingerprints of the last scan, by model. */
  #seen: ReadonlyMap<string, string> = new Map();
  /** Fingerprints of the reported models. */
  readonly #reported = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(directory: string, listing: Pick<RepositoryListing, 'read'>, watcher: RepositoryWatcher) {
    this.#directory = directory;
    this.#listing = listing;
    this.#watcher = watcher;
  }

  start(intervalMs: number): void {
    this.#timer = setTimeout(() => {
      void this.look().then(() => {
        if (!this.#stopped) this.start(intervalMs);
      });
    }, intervalMs).unref();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Never rejects: an unreadable repository may be back at the next scan, and loaded models serve on. */
  async look(): Promise<void> {
    try {
      const seen = await this.#read();
      if (this.#stopped) return;
      const before = this.#seen;
      this.#seen = seen;
      for (const [name, print] of seen) {
        if (before.get(name) !== print || this.#reported.get(name) === print) continue;
        this.#reported.set(name, print);
        this.#watcher.changed(name);
      }
      for (const name of this.#watcher.names) {
        if (seen.has(name) || before.has(name)) continue;
        this.#reported.delete(name);
        this.#watcher.gone(name);
      }
    } catch (error) {
      const text = `the model repository could not be looked at, and will be again: ${messageOf(error)}`;
      diagnostics.notice.publish({ level: 'error', text });
    }
  }

  async #read(): Promise<Map<string, string>> {
    const seen = new Map<string, string>();
    for (const name of await this.#listing.read()) {
      const versions = await fingerprintModel(modelDirectory(this.#directory, name));
      // A folder whose last version is gone is still there, and has something to say.
      seen.set(name, [...versions].flat().join('\n'));
    }
    return seen;
  }
}
