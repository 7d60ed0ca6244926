/**
 * A device that several model versions run on: the cores of the machine, or a GPU. It says who may start a run, and when.
 *
 * Versions that contend take turns by start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): each pays for the time of
 * its runs, and the version that received the least goes first. A version with four instances gets no more than its neighbour
 * with one. A run cannot be interrupted, so a short run would wait for all of a long one: where waiting takes longer than sharing
 * the cores with what runs, it starts at once, and the operating system divides them.
 *
 * DEV-1: a version that is the only one on its device starts as many runs as it has instances.
 * DEV-2: versions that contend run on no more cores than there are; only a version that runs nothing may exceed that, by one run.
 * DEV-3: no core is idle that a waiting version could use.
 * DEV-4: a run that ends, however it ends, frees its cores. A turn that its version does not use goes to the next.
 * DEV-5: background runs (of shadows, whose processes have a lower priority) take no cores from the others.
 * DEV-6: a run whose outputs are of no use yet goes after all others; among several such runs, the earliest useful goes first.
 */

export interface ShareOptions {
  /** Cores that one of its runs takes. */
  readonly cores: number;
  /** Its processes have a lower priority than others. */
  readonly background: boolean;
  /** Called when it may start a run that it was denied. It then starts one, or passes. */
  wake(): void;
}

/** A version's share of a device. */
export interface DeviceShare {
  readonly device: Device;
  /** It was denied a run and has not been woken yet: asking again is to no effect. */
  readonly isWaiting: boolean;
  /** How many runs would share cores with one that starts now, beyond those that have cores of their own. */
  readonly beside: number;
  /** How many runs it may start now; at least 1. */
  readonly room: number;
  /** How many of its runs have cores of their own, where no other version runs. */
  readonly parallel: number;
  /**
   * Starts a run, or returns `undefined` where others go first; `wake` is called then.
   * @param predictedMs how long it should take
   * @param neededInMs its outputs are of no use before
   */
  start(predictedMs: number | undefined, neededInMs?: number): DeviceRun | undefined;
  /** Nothing is to be started: gives up the turn, if it has one. To be called after each end of a run, unless another is started. */
  pass(): void;
  /** No further run starts. */
  leave(): void;
}

export interface DeviceRun {
  /** How many runs shared cores with it when it started. */
  readonly beside: number;
  /** To be called exactly once. */
  end(): void;
}

/** What the device knows of a version. */
interface Account {
  readonly cores: number;
  readonly background: boolean;
  readonly wake: () => void;
  running: number;
  /** How long the run should take that it asked for, or its latest run. */
  predictedMs: number;
  neededAtMs: number;
  /** Its tag: milliseconds of a core that its runs have received; at least the virtual time when it was last idle. */
  servedMs: number;
  /** When its latest run ended. */
  activeMs: number;
  /** It runs nothing and asked for nothing when it last could. */
  isIdle: boolean;
  /** It was woken, and cores are kept for it until it starts a run or passes. */
  isCalled: boolean;
  /** It gave up a turn, since its latest run, so that versions that have just been given work could ask. */
  hasYielded: boolean;
}

interface Running {
  readonly account: Account;
  readonly expectedEndMs: number;
}

/** A version contends until it has run nothing for this long, so that a neighbour does not flood the device between its requests. */
const CONTENDS_FOR_MS = 1_000;

/** Node's timers fire up to a millisecond late, and may fire a fraction of one early. */
const TIMER_SLACK_MS = 0.5;

export class Device {
  readonly #cores: number;
  /** Versions that have run, and have not left. */
  readonly #accounts = new Set<Account>();
  readonly #running = new Set<Running>();
  /** Versions that were denied a run. */
  readonly #waiting = new Set<Account>();
  /** The least tag of the versions that are not idle: where one begins that was. */
  #virtualMs = 0;
  /** Up to when tags are reckoned. */
  #reckonedAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param cores that runs may take; infinite where no run slows another. */
  constructor(cores = Number.POSITIVE_INFINITY) {
    this.#cores = cores;
  }

  join({ cores, background, wake }: ShareOptions): DeviceShare {
    const account: Account = {
      cores: Number.isFinite(this.#cores) ? Math.min(cores, this.#cores) : 1,
      background,
      wake,
      running: 0,
      predictedMs: 0,
      neededAtMs: 0,
      servedMs: 0,
      activeMs: Number.NEGATIVE_INFINITY,
      isIdle: true,
      isCalled: false,
      hasYielded: false,
    };
    const isWaiting = (): boolean => this.#waiting.has(account) && !account.isCalled;
    const beside = (): number => this.#beside(account);
    const room = (): number => this.#room(account);
    return {
      device: this,
      get isWaiting() {
        return isWaiting();
      },
      get beside() {
        return beside();
      },
      get room() {
        return room();
      },
      parallel: this.#cores / account.cores,
      start: (predictedMs, neededInMs) => this.#start(account, predictedMs, neededInMs),
      pass: () => this.#pass(account),
      leave: () => {
        this.#accounts.delete(account);
        this.#pass(account);
      },
    };
  }

  #beside(account: Account): number {
    const busy = this.#busyBeside(account);
    return busy === 0 ? 0 : Math.max(0, Math.ceil(busy + account.cores - this.#cores));
  }

  #room(account: Account): number {
    if (this.#isOnly(account, performance.now())) return Number.POSITIVE_INFINITY;
    return Math.max(1, Math.floor((this.#cores - this.#busyBeside(account)) / account.cores));
  }

  #start(account: Account, predictedMs = 0, neededInMs = 0): DeviceRun | undefined {
    const now = performance.now();
    account.neededAtMs = now + neededInMs;
    this.#accounts.add(account);
    account.predictedMs = predictedMs;
    this.#reckon(now);
    // A version that asks for nothing gathers no claim.
    if (account.isIdle) account.servedMs = Math.max(account.servedMs, this.#virtualMs);
    account.isIdle = false;
    if (isEarly(account, now)) {
      if (!this.#goesFirst(account, now)) return undefined;
    } else if (!account.isCalled && !this.#mayStart(account, now)) {
      this.#waiting.add(account);
      this.#watch(now);
      return undefined;
    }
    account.isCalled = false;
    this.#waiting.delete(account);
    return this.#begin(account, now);
  }

  /** Whether no other version wants the cores for a run whose outputs are of use. Those that have just been given work ask in this turn. */
  #goesFirst(account: Account, now: number): boolean {
    this.#waiting.add(account);
    const { isCalled, hasYielded } = account;
    account.isCalled = false;
    if (isCalled && hasYielded) {
      this.#callNext(now);
      return account.isCalled;
    }
    account.hasYielded = true;
    setImmediate(() => this.#callNext(performance.now()));
    return false;
  }

  #begin(account: Account, now: number): DeviceRun {
    const beside = this.#beside(account);
    account.running++;
    account.hasYielded = false;
    const run: Running = { account, expectedEndMs: now + account.predictedMs };
    this.#running.add(run);
    if (this.#waiting.size > 0) this.#callNext(now);
    return {
      beside,
      end: () => {
        const endedAt = performance.now();
        this.#reckon(endedAt);
        account.running--;
        account.activeMs = endedAt;
        this.#running.delete(run);
        if (this.#waiting.size === 0) return;
        // It is about to ask for its next run, and may be next in turn.
        if (this.#accounts.has(account)) this.#waiting.add(account);
        this.#callNext(endedAt);
      },
    };
  }

  #pass(account: Account): void {
    account.isIdle = account.running === 0;
    if (!this.#waiting.delete(account)) return;
    account.isCalled = false;
    this.#callNext(performance.now());
  }

  /** Wakes every version that may start a run now, in the order of their turns. */
  #callNext(now: number): void {
    this.#reckon(now);
    const tag = (account: Account): number => this.#tagOf(account, now);
    const inTurn = [...this.#waiting].sort((one, other) => {
      const [isOneEarly, isOtherEarly] = [isEarly(one, now), isEarly(other, now)];
      if (isOneEarly !== isOtherEarly) return Number(isOneEarly) - Number(isOtherEarly);
      return isOneEarly ? latestStartMs(one) - latestStartMs(other) : tag(one) - tag(other);
    });
    for (const account of inTurn) {
      if (account.isCalled || !this.#mayStart(account, now)) continue;
      account.isCalled = true;
      account.wake();
    }
    this.#watch(now);
  }

  /** Where its next run would begin: what it received, and what its runs are still expected to take. */
  #tagOf(account: Account, now: number): number {
    let tag = account.servedMs;
    for (const run of this.#running) {
      if (run.account === account) tag += Math.max(0, run.expectedEndMs - now) * account.cores;
    }
    return tag;
  }

  #mayStart(account: Account, now: number): boolean {
    const busy = this.#busyBeside(account);
    if (busy === 0 || busy + account.cores <= this.#cores) return true;
    return this.#isOnly(account, now) || this.#isWorthSharing(account, now);
  }

  /** DEV-1 */
  #isOnly(account: Account, now: number): boolean {
    for (const other of this.#accounts) {
      if (other === account || !isSeenBy(account, other)) continue;
      if (other.running > 0 || this.#waiting.has(other) || other.activeMs > now - CONTENDS_FOR_MS) return false;
    }
    return true;
  }

  /**
   * DEV-2: whether a run that starts now ends before one that waits for cores of its own. A version that received more than
   * another waits for its turn, so that sharing gives no version more than its part.
   */
  #isWorthSharing(account: Account, now: number): boolean {
    if (account.running > 0 || account.neededAtMs > now || this.#leadOf(account) > account.predictedMs) return false;
    return this.#delayOfSharing(account) < Math.abs(this.#freeAtMs(account, now) - now);
  }

  /** How much more service the version received than the version that received the least. */
  #leadOf(account: Account): number {
    return account.servedMs - this.#hindmost(account).servedMs;
  }

  /** The version that received the least of those that are not idle. */
  #hindmost(account: Account): Account {
    let hindmost = account;
    for (const other of this.#accounts) {
      if (!other.isIdle && other.servedMs < hindmost.servedMs && isSeenBy(account, other)) hindmost = other;
    }
    return hindmost;
  }

  /** How much longer its run takes if it starts now. */
  #delayOfSharing(account: Account): number {
    return account.predictedMs * ((this.#busyBeside(account) + account.cores) / this.#cores - 1);
  }

  /**
   * When there should be cores for a run of the version. A moment that has passed means that a run is overdue: it is expected to
   * last as much longer as it is late, because nothing better is known of it. So a run that hangs delays no one for long.
   */
  #freeAtMs(account: Account, now: number): number {
    const ends: { readonly atMs: number; readonly cores: number }[] = [];
    for (const { account: other, expectedEndMs } of this.#running) {
      if (isSeenBy(account, other)) ends.push({ atMs: expectedEndMs, cores: other.cores });
    }
    for (const other of this.#waiting) {
      if (other.isCalled && isSeenBy(account, other)) ends.push({ atMs: now + other.predictedMs, cores: other.cores });
    }
    ends.sort((one, other) => Math.abs(one.atMs - now) - Math.abs(other.atMs - now));
    let busy = this.#busyBeside(account);
    let freeAt = now;
    for (const { atMs, cores } of ends) {
      freeAt = atMs;
      busy -= cores;
      if (busy + account.cores <= this.#cores) break;
    }
    return freeAt;
  }

  /** Cores that are taken, or kept for a version that was woken. */
  #busyBeside(account: Account): number {
    let busy = 0;
    for (const { account: other } of this.#running) if (isSeenBy(account, other)) busy += other.cores;
    for (const other of this.#waiting) {
      if (other !== account && other.isCalled && isSeenBy(account, other)) busy += other.cores;
    }
    return busy;
  }

  /** Looks again when a run is so late that sharing the cores with it is better than waiting for its end. */
  #watch(now: number): void {
    clearTimeout(this.#timer);
    let atMs = Number.POSITIVE_INFINITY;
    for (const account of this.#waiting) {
      if (account.isCalled || account.running > 0) continue;
      const aheadMs = this.#leadOf(account) - account.predictedMs;
      // A version that waits catches up when its turn comes, and not with time.
      if (aheadMs > 0 && this.#hindmost(account).running === 0) continue;
      const sharesAtMs = this.#freeAtMs(account, now) + this.#delayOfSharing(account);
      atMs = Math.min(atMs, Math.max(now + aheadMs / this.#speed, sharesAtMs, account.neededAtMs));
    }
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#callNext(performance.now()), Math.max(0, atMs - now) + TIMER_SLACK_MS);
  }

  /** The part of a core that a run gets of each of its cores. */
  get #speed(): number {
    let busy = 0;
    for (const { account } of this.#running) busy += account.cores;
    return busy <= this.#cores ? 1 : this.#cores / busy;
  }

  #reckon(now: number): void {
    const servedMs = (now - this.#reckonedAtMs) * this.#speed;
    this.#reckonedAtMs = now;
    for (const { account } of this.#running) account.servedMs += servedMs * account.cores;
    let least = Number.POSITIVE_INFINITY;
    for (const { isIdle, background, servedMs: tag } of this.#accounts) {
      if (!isIdle && !background) least = Math.min(least, tag);
    }
    if (least !== Number.POSITIVE_INFINITY) this.#virtualMs = Math.max(this.#virtualMs, least);
  }
}

/** Its outputs are of no use when its run has ended: others go first. */
function isEarly({ neededAtMs, predictedMs }: Account, now: number): boolean {
  return now + predictedMs < neededAtMs;
}

/** A run that starts no later ends when its outputs are of use. */
function latestStartMs({ neededAtMs, predictedMs }: Account): number {
  return neededAtMs - predictedMs;
}

/** DEV-5 */
function isSeenBy(account: Account, other: Account): boolean {
  return !other.background || account.background;
}
