/** The recent past of the server, for the page: recorded from what the stages publish, whether anyone watches or not. */

import { diagnostics, type ModelRef } from '../diagnostics.ts';
import { type NotableEvent, NotableEvents } from './notable-events.ts';
import { VersionHistory } from './version-history.ts';

/** More versions than a server loads; the version that was quiet longest is forgotten first. */
const MAX_VERSIONS = 1_024;

export class History implements Disposable {
  readonly #now: () => number;
  /** By name, then version: a look-up for each request builds no text. */
  readonly #versions = new Map<string, Map<string, VersionHistory>>();
  #size = 0;
  readonly #events: NotableEvents;
  readonly #stops: readonly (() => void)[];

  /** @param now as `Date.now`, because people read it */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.#events = new NotableEvents(now);
    this.#stops = [
      this.#events.subscribe(),
      diagnostics.inferenceEnded.subscribe((event) => {
        if (event.model !== undefined) this.#of(event.model).recordInference(event);
      }),
      diagnostics.batchEnded.subscribe((event) => this.#of(event.model).recordBatch(event)),
    ];
  }

  /** `undefined` for a version that nothing was asked of. */
  find({ name, version }: ModelRef): VersionHistory | undefined {
    return this.#versions.get(name)?.get(version);
  }

  /** Newest first. */
  get events(): readonly NotableEvent[] {
    return this.#events.recent;
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stops) stop();
  }

  #of({ name, version }: ModelRef): VersionHistory {
    const ofModel = this.#versions.get(name);
    const found = ofModel?.get(version);
    if (found !== undefined) return found;
    if (this.#size >= MAX_VERSIONS) this.#forgetQuietest();
    const made = new VersionHistory(this.#now);
    // The look-up again: the forgotten version may have been the last one of this model.
    const versions = this.#versions.get(name) ?? new Map<string, VersionHistory>();
    this.#versions.set(name, versions);
    versions.set(version, made);
    this.#size++;
    return made;
  }

  #forgetQuietest(): void {
    const all = [...this.#versions].flatMap(([name, versions]) =>
      [...versions].map(([version, { changedAt }]) => ({ name, version, changedAt })),
    );
    const [quietest] = all.sort((a, b) => a.changedAt - b.changedAt);
    if (quietest === undefined) return;
    const versions = this.#versions.get(quietest.name);
    versions?.delete(quietest.version);
    if (versions?.size === 0) this.#versions.delete(quietest.name);
    this.#size--;
  }
}
