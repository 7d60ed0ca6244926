/**
 * Order between flows, in predicted milliseconds: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), but in the order
 * of finish tags, as in self-clocked fair queueing (Golestani, INFOCOM 1994): an urgent request never ties with another.
 *
 * A flow holds the requests of one tenant, at one level of priority, with about the same time granted. Its start tag grows with
 * the work that is sent for it; a request finishes where its work takes that tag, and the least finish goes first. A flow that
 * begins to wait starts at the virtual time, the start tag of the last request sent, or a little before it: it owes nothing for the
 * past, and is owed at most `CREDIT_MS`.
 *
 * FAIR-1: flows that wait all the time are sent work in proportion to their weights, to within one batch of each.
 * FAIR-2: a request that leaves without being sent charges nothing.
 * FAIR-3: a tenant gets no more by granting several times at once: its flows divide its weight.
 */

/**
 * Work that a flow is owed at most because others were sent more in the same busy period. With it a burst of a quiet tenant goes
 * first, as long as the tenant stays within its share: without it, half of each batch would go to the greedy one.
 */
const CREDIT_MS = 25;
/** A level weighs this many times the next one: strict in practice, and yet no level starves. */
const LEVEL_RATIO = 16;
/** Times within so many powers of two share a flow. In one order under overload, patient requests shut out impatient ones, or the reverse. */
const TIME_OCTAVES = 1;
/** The class of requests whose caller named no time. */
const UNNAMED = -1;
/** More owners than these are searched for those that neither wait nor owe. */
const MANY_OWNERS = 256;

export interface FlowKey {
  readonly tenant: string;
  /** Share of the tenant, in proportion to other tenants. */
  readonly weight: number;
  /** Level of priority; 1 is the most urgent. */
  readonly level: number;
  /** Milliseconds from the arrival to when the answer is to be ready. */
  readonly grantedMs: number;
  /** Whether the caller named that time. */
  readonly isNamed: boolean;
}

/** One tenant at one level of priority. */
interface Owner {
  readonly weight: number;
  /** By class of granted time. */
  readonly flows: Map<number, Flow>;
  waiting: number;
}

export class Flow {
  readonly level: number;
  readonly owner: Owner;
  /** Start tag of its next request, in the busy period in which it was last sent one. */
  start = 0;
  period = 0;
  requests = 0;
  bytes = 0;
  /** Predicted milliseconds of its requests, at the rate of full batches. */
  workMs = 0;

  constructor(level: number, owner: Owner) {
    this.level = level;
    this.owner = owner;
  }

  /** By how much a millisecond of its work moves its start tag. */
  get pace(): number {
    return Math.max(1, this.owner.waiting) / this.owner.weight;
  }
}

/** Amounts that a request adds to its flow. */
export interface Share {
  readonly bytes: number;
  readonly workMs: number;
}

export class FairQueueing {
  readonly #owners = new Map<string, Owner>();
  readonly #waiting = new Set<Flow>();
  #virtualMs = 0;
  /** Counts the times that nothing waited. Tags begin at 0 again then, so that they stay small enough to be exact. */
  #period = 0;
  #workMs = 0;

  get flows(): ReadonlySet<Flow> {
    return this.#waiting;
  }

  get workMs(): number {
    return this.#workMs;
  }

  flowOf({ tenant, weight, level, grantedMs, isNamed }: FlowKey): Flow {
    const key = level === 1 ? tenant : `${level} ${tenant}`;
    let owner = this.#owners.get(key);
    if (owner === undefined) {
      if (this.#owners.size >= MANY_OWNERS) this.#forgetIdle();
      owner = { weight: weight * LEVEL_RATIO ** (1 - level), flows: new Map(), waiting: 0 };
      this.#owners.set(key, owner);
    }
    const time = isNamed ? Math.floor(Math.log2(Math.max(1, grantedMs)) / TIME_OCTAVES) : UNNAMED;
    let flow = owner.flows.get(time);
    if (flow === undefined) {
      flow = new Flow(level, owner);
      owner.flows.set(time, flow);
    }
    return flow;
  }

  enter(flow: Flow, { bytes, workMs }: Share): void {
    if (flow.requests === 0) {
      flow.start = this.#startOf(flow);
      flow.period = this.#period;
      flow.owner.waiting++;
      this.#waiting.add(flow);
    }
    flow.requests++;
    flow.bytes += bytes;
    flow.workMs += workMs;
    this.#workMs += workMs;
  }

  /** A request leaves its flow, and is sent. */
  send(flow: Flow, share: Share): void {
    this.#virtualMs = Math.max(this.#virtualMs, flow.start);
    flow.start += share.workMs * flow.pace;
    this.leave(flow, share);
  }

  /** A request leaves its flow without being sent. */
  leave(flow: Flow, { bytes, workMs }: Share): void {
    flow.requests--;
    flow.bytes -= bytes;
    flow.workMs -= workMs;
    this.#workMs -= workMs;
    if (flow.requests > 0) return;
    flow.workMs = 0;
    flow.owner.waiting--;
    this.#waiting.delete(flow);
    if (this.#waiting.size > 0) return;
    this.#workMs = 0;
    this.#virtualMs = 0;
    this.#period++;
  }

  /** Work of all flows that is sent before a request with `ownMs` of work of its own flow before it. */
  workBefore(flow: Flow, ownMs: number): number {
    if (this.#waiting.size <= 1) return this.#waiting.has(flow) ? ownMs : 0;
    const tag = this.#startOf(flow) + ownMs * flow.pace;
    let before = ownMs;
    for (const other of this.#waiting) {
      if (other !== flow) before += Math.min(other.workMs, Math.max(0, tag - other.start) / other.pace);
    }
    return before;
  }

  /** Start tag of the flow's next request, if it came now. */
  #startOf({ requests, start, period }: Flow): number {
    if (requests > 0) return start;
    return period === this.#period ? Math.max(start, this.#virtualMs - CREDIT_MS) : this.#virtualMs;
  }

  #forgetIdle(): void {
    for (const [key, { waiting, flows }] of this.#owners) {
      if (waiting > 0) continue;
      if ([...flows.values()].every((flow) => this.#startOf(flow) <= this.#virtualMs)) this.#owners.delete(key);
    }
  }
}
