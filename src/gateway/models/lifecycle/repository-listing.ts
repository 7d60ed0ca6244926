/**
 * The names of the models in a repository, as the last look saw them.
 *
 * LISTING-1: one look at a time. A caller that asks during a look waits for the next one, which all waiters share.
 * LISTING-2: no one waits longer than `patienceMs`, and while a look hangs, no one waits at all: the names of the last look stay
 *     in force, and a notice says so.
 */

import { messageOf } from '../../../error-message.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import { listNames, RepositoryError, type RepositoryNames } from '../../repository/model-repository.ts';

const PATIENCE_MS = 1_000;
/** How long a look counts as recent: clients may ask for any name, as often as they like. */
const RECENT_MS = 1_000;

export interface ListingOptions {
  readonly read?: (directory: string) => Promise<RepositoryNames>;
  readonly patienceMs?: number;
  readonly recentMs?: number;
}

export class RepositoryListing {
  readonly #directory: string;
  readonly #read: (directory: string) => Promise<RepositoryNames>;
  readonly #patienceMs: number;
  readonly #recentMs: number;
  #names: ReadonlySet<string> = new Set();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** The look in progress has taken longer than `patienceMs`. */
  #hangs = false;
  /** Text of the last notice: a repository that stays away is reported once. */
  #reported: string | undefined;

  constructor(
    directory: string,
    { read = listNames, patienceMs = PATIENCE_MS, recentMs = RECENT_MS }: ListingOptions = {},
  ) {
    this.#directory = directory;
    this.#read = read;
    this.#patienceMs = patienceMs;
    this.#recentMs = recentMs;
  }

  /**
   * The first look, on which the start of a server depends.
   * @throws RepositoryError
   */
  async open(): Promise<RepositoryNames> {
    const names = await this.#read(this.#directory);
    this.#keep(names);
    return names;
  }

  /**
   * The names on disk now.
   * @throws RepositoryError where the disk does not say, or not in time.
   */
  async read(): Promise<ReadonlySet<string>> {
    await this.#refreshed();
    return this.#names;
  }

  /** The names on disk now; if the disk does not answer, the names of the last scan. Never rejects. */
  async look(): Promise<ReadonlySet<string>> {
    await this.#refreshed().catch((error: unknown) => this.#report(error));
    return this.#names;
  }

  /** Names that were on disk a second ago at most, as far as the disk says. Never rejects. */
  async recent(): Promise<ReadonlySet<string>> {
    return performance.now() - this.#lookedAt < this.#recentMs ? this.#names : this.look();
  }

  /** Resolves when a look that began after this call is over. */
  async #refreshed(): Promise<void> {
    if (this.#hangs) throw this.#silence();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      this.#hangs = this.#looking !== undefined;
      reject(this.#silence());
    }, this.#patienceMs);
    try {
      await Promise.race([this.#following(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** LISTING-1 */
  #following(): Promise<void> {
    if (this.#looking === undefined) return this.#begin();
    this.#next ??= this.#looking.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#next;
  }

  #begin(): Promise<void> {
    this.#next = undefined;
    this.#looking = this.#read(this.#directory)
      .then((names) => this.#keep(names))
      .finally(() => {
        this.#looking = undefined;
        this.#hangs = false;
      });
    // Those who waited for it may have gone.
    this.#looking.catch(() => {});
    return this.#looking;
  }

  #keep({ models }: RepositoryNames): void {
    this.#names = new Set(models);
    this.#lookedAt = performance.now();
    this.#reported = undefined;
  }

  #silence(): RepositoryError {
    return new RepositoryError(`the model repository '${this.#directory}' does not answer`);
  }

  #report(error: unknown): void {
    const reason = messageOf(error);
    if (this.#reported === reason) return;
    this.#reported = reason;
    const text = `${reason}; until it can be read, the models of the last look count`;
    diagnostics.notice.publish({ level: 'error', text });
  }
}
