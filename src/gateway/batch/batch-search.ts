/**
 * The search for a batch that passes over requests whose deadlines would keep it small.
 *
 * The value of a candidate is the number of requests that it answers in time, plus the number that the rest of the queue answers
 * after it. The value of the time that both take is subtracted. The rest follows the better of two rules: batches as large as their first request
 * allows, and Nexus' sliding window (Shen et al., SOSP 2019), which skips requests until a batch of its target size is in time.
 */

import { BatchFormer, levelOf } from './batch-former.ts';
import { targetRows } from './batch-rows.ts';
import { type Bucket, grantedMs, type Waiting } from './waiting.ts';

/** How many batches a candidate is followed. */
const HORIZON_BATCHES = 4;
/** How many requests are looked at, so that a decision stays cheap however much waits; and in any case so many full batches. */
const HORIZON_REQUESTS = 512;
/** The sliding window sees so many targets of requests: past them it would be at the end of the queue anyway. */
const WINDOW_TARGETS = 4;
/** From 8 rows on the sizes that are weighed grow by a quarter. */
const SIZE_STEP = 4;
/**
 * Value of a millisecond, as a share of what full batches answer in it: more requests will come, but less surely than those
 * that are here. From sweeps over simulated curves, loads and arrivals. With 1 the mean of `grid` is half a point less, and with 0.8 some
 * cells of `grid-10` are more than a point behind a peer.
 */
const TIME_WEIGHT = 0.9;
/** A head gives way only to a batch with a request that was granted at most this many times its own time. */
const ALIKE = 4;
/** Marks of a candidate's batch, and of those that follow it by either rule. */
const MARKS = 3;

export class BatchSearch<R extends Waiting> {
  readonly #waiting: readonly R[];
  readonly #former: BatchFormer;
  readonly #limit: number;
  readonly #now: number;
  /** Rows of the sliding window's batches: two of them fit into the time that the head was granted. */
  readonly #target: number;
  /** Whether requests of several levels wait. */
  readonly #hasLevels: boolean;
  #mark = 0;
  /** Only requests at least as urgent count. */
  #level = Number.NaN;
  /** Value of a millisecond, in counted requests. */
  #worth = 0;

  constructor({ waiting: all, predict }: Bucket<R>, limit: number, now: number) {
    const waiting = lookedAt(all, limit, now + (predict(limit) ?? 0));
    const [head] = waiting;
    this.#waiting = waiting;
    this.#former = new BatchFormer({ waiting, predict });
    this.#hasLevels = waiting.some((request) => head !== undefined && levelOf(request) !== levelOf(head));
    this.#limit = limit;
    this.#now = now;
    this.#target = targetRows((rows) => this.#former.time(rows), limit, head === undefined ? 0 : grantedMs(head));
  }

  /** A better batch than the first `count` requests with `rows` rows, or `undefined`. */
  betterThanFirst(count: number, rows: number): readonly R[] | undefined {
    let best: number | undefined;
    let bestValue = Number.NaN;
    for (let size = rows + 1; size <= this.#limit; size = nextSize(size, this.#limit)) {
      if (!this.#formCandidate(size)) continue;
      // Larger ones would find even fewer that have the time for them.
      if (this.#former.isLast && this.#former.rows < size) break;
      const level = this.#passedLevel(size);
      if (level !== this.#level) {
        this.#countDownTo(level);
        bestValue = best === undefined ? this.#valueOfFirst(count) : this.#valueOf(best);
        this.#formCandidate(size);
      }
      const value = this.#value();
      if (value > bestValue) {
        bestValue = value;
        best = size;
      }
    }
    if (best === undefined) return undefined;
    this.#formCandidate(best);
    return this.#waiting.filter((_, index) => this.#former.marks[index] === this.#mark);
  }

  /** Forms the batch that passes over what would be late in one of `size` rows; false where it must not. */
  #formCandidate(size: number): boolean {
    const former = this.#former;
    const mark = this.#nextMark();
    former.restart();
    former.form({ at: this.#now, size, most: this.#limit, left: Number.POSITIVE_INFINITY, before: mark, mark });
    if (former.marks[0] === mark) return true;
    const [head] = this.#waiting;
    if (head === undefined) return false;
    const most = ALIKE * grantedMs(head);
    for (let index = 1; index < former.length; index++) {
      const request = this.#waiting[index];
      if (former.marks[index] === mark && request !== undefined && grantedMs(request) <= most) return true;
    }
    return false;
  }

  #nextMark(): number {
    this.#mark += MARKS;
    return this.#mark;
  }

  /** The most urgent level that the candidate skips: less urgent requests do not count for it. */
  #passedLevel(size: number): number {
    if (!this.#hasLevels) return Number.POSITIVE_INFINITY;
    const end = this.#now + this.#former.time(size);
    let passed = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.#former.length; index++) {
      const request = this.#waiting[index];
      if (request === undefined || request.deadline >= end) continue;
      const level = levelOf(request);
      if (level < passed && this.#former.isInTime(index, this.#now)) passed = level;
    }
    return passed;
  }

  #countDownTo(level: number): void {
    const full = this.#former.time(this.#limit);
    this.#level = level;
    const perRow = this.#former.countDownTo(level);
    this.#worth = full > 0 ? TIME_WEIGHT * (this.#limit / full) * perRow : 0;
  }

  #valueOfFirst(count: number): number {
    this.#former.formOfFirst(count, this.#nextMark());
    return this.#value();
  }

  #valueOf(size: number): number {
    this.#formCandidate(size);
    return this.#value();
  }

  /** Value of the last formed batch, with the batches that can follow it. */
  #value(): number {
    const { counted, rows } = this.#former;
    this.#former.keep();
    const tookMs = this.#former.time(rows);
    const after = this.#now + tookMs;
    return counted - this.#worth * tookMs + Math.max(this.#drain(after, 0), this.#drain(after, this.#target));
  }

  /** Value of the requests after the latest candidate, from `start` on, in batches of `target` rows; 0: as large as they can be. */
  #drain(start: number, target: number): number {
    const former = this.#former;
    const limit = target === 0 ? this.#limit : target;
    const fullMs = former.time(this.#limit);
    const marks = { before: this.#mark, mark: this.#mark + (target === 0 ? 1 : 2) };
    former.restore();
    let value = 0;
    let at = start;
    for (let batch = 1; batch < HORIZON_BATCHES; batch++) {
      const left = target === 0 ? 0 : former.rowsLeft(marks, WINDOW_TARGETS * target);
      former.form({ at, size: Math.min(target, left), most: limit, left, ...marks });
      if (former.rows === 0) break;
      const tookMs = former.time(former.rows);
      // Others will have joined the batch that empties the queue: it takes only its part of their batch's time.
      const chargedMs = former.isLast ? Math.min(tookMs, (former.rows / this.#limit) * fullMs) : tookMs;
      value += former.counted - this.#worth * chargedMs;
      if (former.isLast) break;
      at += tookMs;
    }
    return value;
  }
}

/**
 * The requests that are looked at: all, or the first ones and the first of those behind them that are in time for a full batch.
 * Where very much waits, the first ones may all be late for it.
 */
function lookedAt<R extends Waiting>(waiting: readonly R[], limit: number, fullAt: number): readonly R[] {
  const most = Math.max(HORIZON_REQUESTS, HORIZON_BATCHES * limit);
  if (waiting.length <= most) return waiting;
  const first = waiting.slice(0, most / 2);
  for (let index = first.length; index < waiting.length && first.length < most; index++) {
    const request = waiting[index];
    if (request !== undefined && request.deadline >= fullAt) first.push(request);
  }
  return first;
}

function nextSize(size: number, limit: number): number {
  const next = size + Math.max(1, Math.floor(size / SIZE_STEP));
  return size < limit ? Math.min(next, limit) : next;
}
