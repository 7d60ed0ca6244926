/**
 * The rules by which versions contend for the cores of a device: a pure account of who runs, who waits, and how much service each
 * version has received. `device.ts` is the shell around it, with the clock and the timer. The labels are explained there.
 */

import { Bag } from '../../bag.ts';
import { type Account, isEarly, isSeenBy, latestStartMs } from './device-account.ts';

export interface Running {
  readonly account: Account;
  readonly expectedEndMs: number;
}

/** A version contends until it has run nothing for this long, so that a neighbour does not flood the device between its requests. */
const CONTENDS_FOR_MS = 1_000;

export class CoreContention {
  readonly cores: number;
  /** Versions that have run, and have not left. */
  readonly accounts = new Set<Account>();
  readonly #running = new Bag<Running>();
  /** Versions that were denied a run. */
  readonly waiting = new Set<Account>();
  /** The least tag of the versions that are not idle: where one begins that was. */
  #virtualMs = 0;
  #reckonedAtMs = 0;

  constructor(cores: number) {
    this.cores = cores;
  }

  /** How many runs would share cores with one that starts now. */
  beside(account: Account): number {
    const busy = this.#busyBeside(account);
    return busy === 0 ? 0 : Math.max(0, Math.ceil(busy + account.cores - this.cores));
  }

  /** How many runs the version may start now; at least 1. */
  room(account: Account, now: number): number {
    if (this.isOnly(account, now)) return Number.POSITIVE_INFINITY;
    return Math.max(1, Math.floor((this.cores - this.#busyBeside(account)) / account.cores));
  }

  /** Whether a run of the version may start now: on free cores, or beside others where that takes less than the wait. */
  mayStart(account: Account, now: number): boolean {
    const busy = this.#busyBeside(account);
    if (busy === 0 || busy + account.cores <= this.cores) return true;
    return this.isOnly(account, now) || this.#isWorthSharing(account, now);
  }

  /** An idle version gathers no claim: it begins where the least served of the others is. */
  claim(account: Account): void {
    if (account.isIdle) account.servedMs = Math.max(account.servedMs, this.#virtualMs);
    account.isIdle = false;
  }

  /** A run of the version starts. */
  begin(account: Account, now: number): Running {
    account.running++;
    account.hasYielded = false;
    const run: Running = { account, expectedEndMs: now + account.predictedMs };
    this.#running.add(run);
    return run;
  }

  end(run: Running, now: number): void {
    this.reckon(now);
    run.account.running--;
    run.account.activeMs = now;
    this.#running.delete(run);
  }

  /** The versions that wait, in the order in which they go. */
  inOrder(now: number): Account[] {
    const tag = (account: Account): number => this.#tagOf(account, now);
    return [...this.waiting].sort((one, other) => {
      const [isOneEarly, isOtherEarly] = [isEarly(one, now), isEarly(other, now)];
      if (isOneEarly !== isOtherEarly) return Number(isOneEarly) - Number(isOtherEarly);
      return isOneEarly ? latestStartMs(one) - latestStartMs(other) : tag(one) - tag(other);
    });
  }

  /** When a run is so late that sharing the cores with it is better than waiting for its end; infinite: never. */
  nextSharingMs(now: number): number {
    let atMs = Number.POSITIVE_INFINITY;
    for (const account of this.waiting) {
      if (account.isCalled || account.running > 0) continue;
      const aheadMs = this.#leadOf(account) - account.predictedMs;
      // A version that waits catches up with its next grant, not with time.
      if (aheadMs > 0 && this.#hindmost(account).running === 0) continue;
      const sharesAtMs = this.#freeAtMs(account, now) + this.#delayOfSharing(account);
      atMs = Math.min(atMs, Math.max(now + aheadMs / this.#speed, sharesAtMs, account.neededAtMs));
    }
    return atMs;
  }

  /** Adds the service that the runs have received since the last call. */
  reckon(now: number): void {
    const servedMs = (now - this.#reckonedAtMs) * this.#speed;
    this.#reckonedAtMs = now;
    for (const { account } of this.#running) account.servedMs += servedMs * account.cores;
    let least = Number.POSITIVE_INFINITY;
    for (const { isIdle, background, servedMs: tag } of this.accounts) {
      if (!isIdle && !background) least = Math.min(least, tag);
    }
    if (least !== Number.POSITIVE_INFINITY) this.#virtualMs = Math.max(this.#virtualMs, least);
  }

  /** Where its next run would begin: what it received, and what its runs are still expected to take. */
  #tagOf(account: Account, now: number): number {
    let tag = account.servedMs;
    for (const run of this.#running) {
      if (run.account === account) tag += Math.max(0, run.expectedEndMs - now) * account.cores;
    }
    return tag;
  }

  /** DEV-1: no other version runs anything, waits, or did lately. */
  isOnly(account: Account, now: number): boolean {
    for (const other of this.accounts) {
      if (other === account || !isSeenBy(account, other)) continue;
      if (other.running > 0 || this.waiting.has(other) || other.activeMs > now - CONTENDS_FOR_MS) return false;
    }
    return true;
  }

  /**
   * Whether a run that starts now ends before one that waits for cores of its own. A version that received more than
   * another waits for its grant, so that sharing gives no version more than its part (DEV-2).
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
    for (const other of this.accounts) {
      if (!other.isIdle && other.servedMs < hindmost.servedMs && isSeenBy(account, other)) hindmost = other;
    }
    return hindmost;
  }

  /** How much longer its run takes if it starts now. */
  #delayOfSharing(account: Account): number {
    return account.predictedMs * ((this.#busyBeside(account) + account.cores) / this.cores - 1);
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
    for (const other of this.waiting) {
      if (other.isCalled && isSeenBy(account, other)) ends.push({ atMs: now + other.predictedMs, cores: other.cores });
    }
    ends.sort((one, other) => Math.abs(one.atMs - now) - Math.abs(other.atMs - now));
    let busy = this.#busyBeside(account);
    let freeAt = now;
    for (const { atMs, cores } of ends) {
      freeAt = atMs;
      busy -= cores;
      if (busy + account.cores <= this.cores) break;
    }
    return freeAt;
  }

  /** Cores that are taken, or kept for a version that was woken. */
  #busyBeside(account: Account): number {
    let busy = 0;
    for (const { account: other } of this.#running) if (isSeenBy(account, other)) busy += other.cores;
    for (const other of this.waiting) {
      if (other !== account && other.isCalled && isSeenBy(account, other)) busy += other.cores;
    }
    return busy;
  }

  /** The part of a core that a run gets of each of its cores. */
  get #speed(): number {
    let busy = 0;
    for (const { account } of this.#running) busy += account.cores;
    return busy <= this.cores ? 1 : this.cores / busy;
  }
}
