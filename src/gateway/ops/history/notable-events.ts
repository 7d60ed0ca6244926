/** The last events that an operator looks for: how runners ended and what followed, breakers, rollouts, versions that failed. */

import { boundedText } from '../../errors.ts';
import {
  type BreakerChanged,
  diagnostics,
  type ModelChanged,
  type ModelRef,
  type RequestsRepeated,
  type RolloutChanged,
  type RunnerEnded,
  type RunnerStarted,
} from '../diagnostics.ts';

export type NotableEvent =
  | {
      readonly kind: 'runner_ended';
      readonly atMs: number;
      readonly runner: string;
      readonly models: readonly ModelRef[];
      readonly cause: string;
      /** Requests that were in it, and ran again in the next one. */
      repeated: number;
      /** Until its first model version was loaded again; `undefined` until then. */
      backAfterMs: number | undefined;
    }
  | { readonly kind: 'start_failed'; readonly atMs: number; readonly model: ModelRef; readonly cause: string }
  | { readonly kind: 'breaker'; readonly atMs: number; readonly model: ModelRef; readonly state: string }
  | { readonly kind: 'unavailable'; readonly atMs: number; readonly model: ModelRef; readonly reason: string }
  | {
      readonly kind: 'rollout';
      readonly atMs: number;
      readonly model: string;
      readonly to: string;
      readonly stage: string;
      readonly text: string;
    };

type RunnerEndEvent = Extract<NotableEvent, { readonly kind: 'runner_ended' }>;

const KEPT = 40;
/** The end of a process and the ends of its runs are published at nearly the same time, in any order. */
const TOGETHER_MS = 5_000;

export class NotableEvents {
  readonly #now: () => number;
  /** Oldest first. */
  readonly #events: NotableEvent[] = [];
  /** Repeats whose runner was not yet reported. */
  #early: (RequestsRepeated & { readonly atMs: number })[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Newest first. */
  get recent(): readonly NotableEvent[] {
    return this.#events.toReversed();
  }

  /** Records until the returned function is called. */
  subscribe(): () => void {
    const stops = [
      diagnostics.runnerEnded.subscribe((event) => this.#runnerEnded(event)),
      diagnostics.runnerStarted.subscribe((event) => this.#runnerStarted(event)),
      diagnostics.requestsRepeated.subscribe((event) => this.#repeated(event)),
      diagnostics.breakerChanged.subscribe((event) => this.#breakerChanged(event)),
      diagnostics.modelChanged.subscribe((event) => this.#modelChanged(event)),
      diagnostics.rolloutChanged.subscribe((event) => this.#rolloutChanged(event)),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }

  #keep(event: NotableEvent): void {
    this.#events.push(event);
    if (this.#events.length > KEPT) this.#events.shift();
  }

  #runnerEnded({ runner, models, cause }: RunnerEnded): void {
    const atMs = this.#now();
    const isOf = (repeat: RequestsRepeated): boolean => models.some((model) => isSame(model, repeat.model));
    const early = this.#early.filter((repeat) => atMs - repeat.atMs < TOGETHER_MS);
    const repeated = early.filter(isOf).reduce((sum, { requests }) => sum + requests, 0);
    this.#early = early.filter((repeat) => !isOf(repeat));
    this.#keep({
      kind: 'runner_ended',
      atMs,
      runner,
      models,
      cause: boundedText(cause),
      repeated,
      backAfterMs: undefined,
    });
  }

  #runnerStarted({ runner, model, outcome, cause = '' }: RunnerStarted): void {
    const atMs = this.#now();
    if (outcome === 'failed') {
      this.#keep({ kind: 'start_failed', atMs, model, cause: boundedText(cause) });
      return;
    }
    const end = this.#lastEnd((event) => event.runner === runner);
    if (end !== undefined) end.backAfterMs ??= atMs - end.atMs;
  }

  #repeated(event: RequestsRepeated): void {
    const atMs = this.#now();
    const end = this.#lastEnd(({ models }) => models.some((model) => isSame(model, event.model)));
    if (end !== undefined && atMs - end.atMs < TOGETHER_MS) end.repeated += event.requests;
    else this.#early = [...this.#early.slice(1 - KEPT), { ...event, atMs }];
  }

  #breakerChanged({ model, state }: BreakerChanged): void {
    if (state !== 'half-open') this.#keep({ kind: 'breaker', atMs: this.#now(), model, state });
  }

  #modelChanged({ model, state, detail, isIntended }: ModelChanged): void {
    if (state !== 'UNAVAILABLE' || isIntended === true) return;
    this.#keep({ kind: 'unavailable', atMs: this.#now(), model, reason: boundedText(detail) });
  }

  #rolloutChanged({ model, to, stage, text }: RolloutChanged): void {
    this.#keep({ kind: 'rollout', atMs: this.#now(), model, to, stage, text: boundedText(text) });
  }

  #lastEnd(isIt: (event: RunnerEndEvent) => boolean): RunnerEndEvent | undefined {
    return this.#events.findLast((event): event is RunnerEndEvent => event.kind === 'runner_ended' && isIt(event));
  }
}

function isSame(a: ModelRef, b: ModelRef): boolean {
  return a.name === b.name && a.version === b.version;
}
