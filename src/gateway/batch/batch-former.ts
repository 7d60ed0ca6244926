/**
 * Forms batches from what waits in a bucket, one after the other, as a search follows a candidate. It works on arrays, because a
 * decision under overload forms some hundred batches.
 */

import { LAST_TAG } from './queue-policy.ts';
import type { Bucket, Waiting } from './waiting.ts';

/** With more flows than this, what one of them passes over moves the tags of its other requests too little to matter. */
const MANY_FLOWS = 8;

/** The requests of one flow, or of all flows where there are many. */
interface Lane {
  /** Indexes, in order of their tags. */
  readonly members: Int32Array;
  /** Members before this one are taken, or too late. */
  start: number;
  /** How many are taken. The next one has the tag of the member at this place, whatever was passed over. */
  taken: number;
  /** Index of the next member to look at. */
  next: number;
  keptStart: number;
  keptTaken: number;
}

export interface Stage {
  /** Start of the batch. */
  readonly at: number;
  /** It passes over requests that would be late in a batch of this many rows; 0: over none that is in time by itself. */
  readonly size: number;
  /** Maximum rows. */
  readonly most: number;
  /** Rows that are left: the size shrinks to them while requests are passed over. */
  readonly left: number;
  /** Requests with this mark are already taken. */
  readonly before: number;
  /** The mark of what it takes. */
  readonly mark: number;
}

export class BatchFormer {
  readonly length: number;
  /** By index: the mark of the batch that took the request last. */
  readonly marks: Int32Array;
  /** The batch formed last: its rows, its requests that count, and whether nothing is left that could have joined it. */
  rows = 0;
  counted = 0;
  isLast = true;
  readonly #waiting: readonly Waiting[];
  readonly #predict: Bucket['predict'];
  readonly #times: number[] = [];
  readonly #rows: Int32Array;
  readonly #deadlines: Float64Array;
  /** By index: when the request runs at the latest, by itself. */
  readonly #latestStarts: Float64Array;
  readonly #counts: Uint8Array;
  readonly #lanes: readonly Lane[];
  /** While a batch is formed: the least deadline that it takes, and the rows that are left. */
  #least = 0;
  #left = 0;

  constructor({ waiting, predict }: Bucket) {
    const { length } = waiting;
    this.length = length;
    this.marks = new Int32Array(length);
    this.#waiting = waiting;
    this.#predict = predict;
    this.#rows = new Int32Array(length);
    this.#deadlines = new Float64Array(length);
    this.#latestStarts = new Float64Array(length);
    this.#counts = new Uint8Array(length);
    for (let index = 0; index < length; index++) {
      const request = waiting[index];
      if (request === undefined) break;
      this.#rows[index] = request.rows;
      this.#deadlines[index] = request.deadline;
      this.#latestStarts[index] = request.deadline - this.time(request.rows);
    }
    this.#lanes = lanesOf(waiting);
  }

  /** Milliseconds that a batch of `rows` takes; 0 where that is not known. */
  time(rows: number): number {
    const known = this.#times[rows];
    if (known !== undefined) return known;
    const time = rows === 0 ? 0 : (this.#predict(rows) ?? 0);
    this.#times[rows] = time;
    return time;
  }

  isInTime(index: number, at: number): boolean {
    return at <= (this.#latestStarts[index] ?? 0);
  }

  /** From now on requests that are at least as urgent as `level` count. Returns how many those are, for each row of all. */
  countDownTo(level: number): number {
    let counted = 0;
    let rows = 0;
    for (let index = 0; index < this.length; index++) {
      const request = this.#waiting[index];
      const counts = request !== undefined && levelOf(request) <= level ? 1 : 0;
      this.#counts[index] = counts;
      counted += counts;
      rows += this.#rows[index] ?? 0;
    }
    return counted / rows;
  }

  /** Begins again with everything that waits. */
  restart(): void {
    for (const lane of this.#lanes) {
      lane.start = 0;
      lane.taken = 0;
    }
  }

  /** Keeps what the candidate leaves, so that it can be followed twice. */
  keep(): void {
    for (const lane of this.#lanes) {
      lane.keptStart = lane.start;
      lane.keptTaken = lane.taken;
    }
  }

  /** Starts again with the kept requests. */
  restore(): void {
    for (const lane of this.#lanes) {
      lane.start = lane.keptStart;
      lane.taken = lane.keptTaken;
    }
  }

  formOfFirst(count: number, mark: number): void {
    this.rows = 0;
    this.counted = 0;
    for (const lane of this.#lanes) {
      const after = lane.members.findIndex((index) => index >= count);
      lane.start = after < 0 ? lane.members.length : after;
      lane.taken = lane.start;
    }
    for (let index = 0; index < count; index++) this.#take(index, mark);
  }

  /** Takes requests in order of their tags for as long as they fit, and all of them are in time. */
  form(stage: Stage): void {
    const { at, size, most, left, mark } = stage;
    this.rows = 0;
    this.counted = 0;
    this.isLast = true;
    this.#left = left;
    this.#least = at + this.time(size);
    for (const lane of this.#lanes) lane.next = lane.start;
    let earliest = Number.POSITIVE_INFINITY;
    for (let lane = this.#firstLane(stage); lane !== undefined; lane = this.#firstLane(stage)) {
      const index = lane.members[lane.next] ?? 0;
      const rows = this.rows + (this.#rows[index] ?? 0);
      earliest = Math.min(earliest, this.#deadlines[index] ?? 0);
      if (this.rows > 0 && (rows > most || at + this.time(rows) > earliest)) {
        this.isLast = false;
        return;
      }
      this.#take(index, mark);
      lane.next++;
      lane.taken++;
    }
  }

  /** Rows that are not taken, counted up to about `enough`. */
  rowsLeft({ before, mark }: Pick<Stage, 'before' | 'mark'>, enough: number): number {
    let rows = 0;
    for (const { members, start } of this.#lanes) {
      for (let at = start; at < members.length && rows < enough; at++) {
        const index = members[at] ?? 0;
        const own = this.marks[index];
        if (own !== before && own !== mark) rows += this.#rows[index] ?? 0;
      }
    }
    return rows;
  }

  #take(index: number, mark: number): void {
    this.marks[index] = mark;
    this.rows += this.#rows[index] ?? 0;
    this.counted += this.#counts[index] ?? 0;
  }

  /** The lane whose next request goes first. */
  #firstLane(stage: Stage): Lane | undefined {
    let first: Lane | undefined;
    let leastTag = LAST_TAG;
    for (const lane of this.#lanes) {
      this.#advance(lane, stage);
      if (lane.next === lane.members.length) continue;
      if (this.#lanes.length === 1) return lane;
      const tag = this.#waiting[lane.members[lane.taken] ?? 0]?.tag ?? LAST_TAG;
      if (first !== undefined && tag >= leastTag) continue;
      first = lane;
      leastTag = tag;
    }
    return first;
  }

  /** Moves on to the lane's next request that the batch may take. */
  #advance(lane: Lane, { at, size, before, mark }: Stage): void {
    const { members } = lane;
    const { marks } = this;
    const latestStarts = this.#latestStarts;
    const deadlines = this.#deadlines;
    let { next, start } = lane;
    for (; next < members.length; next++) {
      const index = members[next] ?? 0;
      const own = marks[index];
      if (own !== before && own !== mark) {
        const isInTime = at <= (latestStarts[index] ?? 0);
        if (isInTime && (deadlines[index] ?? 0) >= this.#least) break;
        if (this.rows === 0 && size > 0) this.#passOver(index, at, size);
        if (isInTime) continue;
      }
      if (start === next) start++;
    }
    lane.next = next;
    lane.start = start;
  }

  /** With fewer rows left than its size, the batch is smaller, and so takes more impatient requests. */
  #passOver(index: number, at: number, size: number): void {
    this.#left -= this.#rows[index] ?? 0;
    if (this.#left < size) this.#least = at + this.time(Math.max(1, this.#left));
  }
}

/** A postponed request is less urgent than any level. */
export function levelOf({ tag, level }: Waiting): number {
  return tag === LAST_TAG ? Number.POSITIVE_INFINITY : level;
}

function lanesOf(waiting: readonly Waiting[]): readonly Lane[] {
  const { length } = waiting;
  const flows = new Map<object, number[]>();
  for (let index = 0; index < length && flows.size <= MANY_FLOWS; index++) {
    const flow = waiting[index]?.flow;
    if (flow === undefined) break;
    const members = flows.get(flow);
    if (members === undefined) flows.set(flow, [index]);
    else members.push(index);
  }
  const all = flows.size > MANY_FLOWS ? [Array.from({ length }, (_, index) => index)] : [...flows.values()];
  return all.map((members) => ({
    members: Int32Array.from(members),
    start: 0,
    taken: 0,
    next: 0,
    keptStart: 0,
    keptTaken: 0,
  }));
}
