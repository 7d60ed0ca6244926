/**
 * A device that several model versions run on: the cores of the machine, or a GPU. It says who may start a run, and when.
 *
 * The cores are granted by start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): each version pays for the time of
 * its runs, and the version that received the least goes first. A version with four instances gets no more than its neighbour
 * with one. A run cannot be interrupted, so a short run would wait for all of a long one: where waiting takes longer than sharing
 * the cores with what runs, it starts at once, and the operating system divides them.
 *
 * DEV-1: a version that is the only one on its device starts as many runs as it has instances.
 * DEV-2: versions that contend run on no more cores than there are; only a version that runs nothing may exceed that, by one run.
 * DEV-3: no core is idle that a waiting version could use.
 * DEV-4: a run that ends, however it ends, frees its cores. A grant that its version does not use goes to the next version.
 * DEV-5: background runs (of shadows, whose processes have a lower priority) take no cores from the others.
 * DEV-6: a run whose outputs are of no use yet goes after all others; among several such runs, the earliest useful goes first.
 */

import { CoreContention, type Running } from './core-contention.ts';
import { type Account, isEarly, openAccount, type ShareOptions } from './device-account.ts';

/** The device that the instances of a version run on, and its claim there. */
export interface DevicePlace extends Omit<ShareOptions, 'wake'> {
  readonly device: Device;
}

export interface DeviceShare {
  readonly device: Device;
  /** It was denied a run and has not been woken yet: asking again is to no effect. */
  readonly isWaiting: boolean;
  /** How many runs would share cores with one that starts now, beyond those that have cores of their own. */
  readonly beside: number;
  /** No other version runs anything, waits, or did lately. */
  readonly isOnly: boolean;
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
  /** Nothing is to be started: gives up the grant, if the version has one. To be called after each end of a run, unless another is started. */
  pass(): void;
  /** No further run starts. */
  leave(): void;
}

export interface DeviceRun {
  /** How many runs shared cores with it when it started. */
  readonly beside: number;
  /**
   * Gives up its cores while it waits for other versions, and takes them again: it cannot wait for cores in the middle of a run, so
   * it may exceed them then.
   */
  wait(isWaiting: boolean): void;
  /** To be called exactly once. */
  end(): void;
}

/** Node's timers fire up to a millisecond late, and may fire a fraction of one early. */
const TIMER_SLACK_MS = 0.5;

export class Device {
  readonly #contention: CoreContention;
  #timer: NodeJS.Timeout | undefined;

  /** @param cores that runs may take; infinite where no run slows another. */
  constructor(cores = Number.POSITIVE_INFINITY) {
    this.#contention = new CoreContention(cores);
  }

  join(options: ShareOptions): DeviceShare {
    const contention = this.#contention;
    const account = openAccount(options, contention.cores);
    const isWaiting = (): boolean => contention.waiting.has(account) && !account.isCalled;
    const beside = (): number => contention.beside(account);
    const isOnly = (): boolean => contention.isOnly(account, performance.now());
    const room = (): number => contention.room(account, performance.now());
    return {
      device: this,
      get isWaiting() {
        return isWaiting();
      },
      get beside() {
        return beside();
      },
      get isOnly() {
        return isOnly();
      },
      get room() {
        return room();
      },
      parallel: contention.cores / account.cores,
      start: (predictedMs, neededInMs) => this.#start(account, predictedMs, neededInMs),
      pass: () => this.#pass(account),
      leave: () => {
        contention.accounts.delete(account);
        this.#pass(account);
      },
    };
  }

  #start(account: Account, predictedMs = 0, neededInMs = 0): DeviceRun | undefined {
    const now = performance.now();
    account.neededAtMs = now + neededInMs;
    this.#contention.accounts.add(account);
    account.predictedMs = predictedMs;
    this.#contention.reckon(now);
    this.#contention.claim(account);
    if (isEarly(account, now)) {
      if (!this.#goesFirst(account, now)) return undefined;
    } else if (!account.isCalled && !this.#contention.mayStart(account, now)) {
      this.#contention.waiting.add(account);
      this.#watch(now);
      return undefined;
    }
    account.isCalled = false;
    this.#contention.waiting.delete(account);
    return this.#begin(account, now);
  }

  /** Whether no other version wants the cores for a run whose outputs are of use. Versions that have just received work ask in this turn of the event loop. */
  #goesFirst(account: Account, now: number): boolean {
    this.#contention.waiting.add(account);
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
    const beside = this.#contention.beside(account);
    let run: Running | undefined = this.#contention.begin(account, now);
    if (this.#contention.waiting.size > 0) this.#callNext(now);
    return {
      beside,
      wait: (isWaiting) => {
        const at = performance.now();
        if (!isWaiting) {
          run ??= this.#contention.begin(account, at);
        } else if (run !== undefined) {
          this.#contention.end(run, at);
          run = undefined;
          if (this.#contention.waiting.size > 0) this.#callNext(at);
        }
      },
      end: () => {
        const endedAt = performance.now();
        if (run !== undefined) this.#contention.end(run, endedAt);
        if (this.#contention.waiting.size === 0) return;
        // It is about to ask for its next run, and may be the next to be granted one.
        if (this.#contention.accounts.has(account)) this.#contention.waiting.add(account);
        this.#callNext(endedAt);
      },
    };
  }

  #pass(account: Account): void {
    account.isIdle = account.running === 0;
    if (!this.#contention.waiting.delete(account)) return;
    account.isCalled = false;
    this.#callNext(performance.now());
  }

  /** Wakes every version that may start a run now, in the order in which they go. */
  #callNext(now: number): void {
    const contention = this.#contention;
    contention.reckon(now);
    for (const account of contention.inOrder(now)) {
      if (account.isCalled || !contention.mayStart(account, now)) continue;
      account.isCalled = true;
      account.wake();
    }
    this.#watch(now);
  }

  /** Looks again when a waiting version may start beside a run that is late. */
  #watch(now: number): void {
    clearTimeout(this.#timer);
    const atMs = this.#contention.nextSharingMs(now);
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#callNext(performance.now()), Math.max(0, atMs - now) + TIMER_SLACK_MS);
  }
}
