/**
 * The file system through which tensors pass, as the mailboxes of all models share it: which of them give memory back where it
 * is short, and which batches wait for it.
 *
 * ROOM-1: a batch that found no room has emptied its mailbox before it waits, so no two batches wait for each other.
 * ROOM-2: batches that found no room try again in the order in which they found none. Meanwhile no other batch of more than a
 *         few pages goes before them.
 * ROOM-3: a batch tries again only where what it needs is free besides what those before it have yet to take.
 * ROOM-4: a batch for which there is no room while no other holds any is not kept waiting.
 */

import fs from 'node:fs';
import { Mailbox } from '../../worker/mailbox.ts';
import type { RunOutcome } from '../../worker/run-outcome.ts';
import { OutputPool } from './output-pool.ts';

type NoRoom = Extract<RunOutcome, { readonly kind: 'no_room' }>;

/** The outcome of a run that found no room in its mailbox. @param bytes that it needs, as far as it got */
export function noRoom(bytes: number): NoRoom {
  return { kind: 'no_room', bytes, message: `its tensors need ${bytes} bytes`, isLasting: false };
}

/** The room that landed tensors take in the directory. */
export interface LandedRoom {
  /** Bytes that runs read now. */
  readonly lentBytes: number;
  /** Moves the others into memory. */
  evacuate(): void;
  onFree: () => void;
}

interface Waiter {
  readonly mailbox: Mailbox;
  bytes: number;
  /** The `#changes` before which it need not try again. */
  failedAt: number;
  wake: () => void;
}

/** Batches of at most this size do not wait behind larger ones. */
const SMALL_BYTES = 64 * 1024;

const ROOMS = new Map<string, MailboxRoom>();

export class MailboxRoom {
  /** Memory for outputs that are read from the mailboxes. */
  readonly outputs = new OutputPool();
  readonly #directory: string;
  readonly #mailboxes = new Set<Mailbox>();
  /** In the order in which they try again. */
  readonly #waiters: Waiter[] = [];
  /** Those that run again at this moment. */
  readonly #runners = new Set<Waiter>();
  /** Tensors that have landed in the directory: here, or in threads of this process. */
  readonly #landings = new Set<LandedRoom>();
  /** How often a batch has given room back. */
  #changes = 0;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** The room of a directory, one per process. */
  static in(directory: string): MailboxRoom {
    const room = ROOMS.get(directory) ?? new MailboxRoom(directory);
    ROOMS.set(directory, room);
    return room;
  }

  /** @throws Error where no mailbox can be made. */
  open(): Mailbox {
    const mailbox = this.#create();
    this.#mailboxes.add(mailbox);
    return mailbox;
  }

  /** Requests that land in this directory give way to batches that find no room. */
  share(landing: LandedRoom): void {
    this.#landings.add(landing);
    landing.onFree = () => {
      if (this.#waiters.length > 0) this.ended();
    };
  }

  close(mailbox: Mailbox): void {
    this.#mailboxes.delete(mailbox);
    mailbox.close();
    this.ended();
  }

  /** ROOM-2: whether a new batch with inputs of so many bytes has to wait behind others. */
  isTakenBefore(bytes: number): boolean {
    return bytes > SMALL_BYTES && (this.#waiters.length > 0 || this.#runners.size > 0);
  }

  /** To be called when a batch has ended. */
  ended(): void {
    this.#changes++;
    this.#waiters[0]?.wake();
  }

  /**
   * Runs a batch again that found no room, as soon as there is some.
   * @param bytes that it needs, as far as is known
   * @param until up to when, on the clock of `performance.now()`; asked again each time
   */
  async retry(
    mailbox: Mailbox,
    bytes: number,
    attempt: () => Promise<RunOutcome>,
    until: () => number,
  ): Promise<RunOutcome> {
    const waiter: Waiter = { mailbox, bytes, failedAt: -1, wake: () => {} };
    this.#waiters.push(waiter);
    this.ended();
    for (;;) {
      const refusal = await this.#whenRoom(waiter, until);
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      if (refusal === undefined) this.#runners.add(waiter);
      this.#waiters[0]?.wake();
      if (refusal !== undefined) return refusal;
      const startedAt = this.#changes;
      const outcome = await attempt();
      this.#runners.delete(waiter);
      if (outcome.kind !== 'no_room') return outcome;
      // It may try at once where it knows better now what it needs, or where others have given room back meanwhile.
      const mayTry = outcome.bytes > waiter.bytes || this.#changes !== startedAt;
      this.#waiters.unshift(waiter);
      this.#changes++;
      waiter.bytes = Math.max(waiter.bytes, outcome.bytes);
      waiter.failedAt = mayTry ? -1 : this.#changes;
    }
  }

  /** Waits until the batch may try again. @returns why it may not. */
  async #whenRoom(waiter: Waiter, until: () => number): Promise<NoRoom | undefined> {
    for (;;) {
      if (this.#waiters[0] === waiter) {
        this.#emptyIdle();
        const { free, total } = this.#space();
        if (waiter.bytes > total) return this.#refusal(waiter.bytes);
        if (waiter.failedAt !== this.#changes && waiter.bytes <= free - this.#yetToTake()) return undefined;
        if (!this.#isHeld()) return this.#refusal(waiter.bytes);
      }
      const left = until() - performance.now();
      if (left <= 0) return this.#refusal(waiter.bytes);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, MAX_WAIT_MS));
        waiter.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Whether the end of a batch would free more than a few pages. */
  #isHeld(): boolean {
    if (this.#runners.size > 0) return true;
    for (const { lentBytes } of this.#landings) if (lentBytes > SMALL_BYTES) return true;
    for (const mailbox of this.#mailboxes) if (mailbox.busy && mailbox.size > SMALL_BYTES) return true;
    return false;
  }

  #yetToTake(): number {
    let sum = 0;
    for (const { mailbox, bytes } of this.#runners) sum += Math.max(0, bytes - mailbox.size);
    return sum;
  }

  #emptyIdle(): void {
    for (const mailbox of this.#mailboxes) if (!mailbox.busy) mailbox.empty();
    for (const landing of this.#landings) landing.evacuate();
  }

  #create(): Mailbox {
    try {
      return Mailbox.create(this.#directory);
    } catch {
      this.#emptyIdle();
      return Mailbox.create(this.#directory);
    }
  }

  #refusal(bytes: number): NoRoom {
    const { free, total } = this.#space();
    const need = `its tensors need ${bytes} bytes in '${this.#directory}' (mailboxDirectory)`;
    if (bytes > total) {
      const advice =
        'send fewer rows, or give the server a larger directory (docker run --shm-size, emptyDir.sizeLimit)';
      return { kind: 'no_room', bytes, isLasting: true, message: `${need}, which has ${total}: ${advice}` };
    }
    return { kind: 'no_room', bytes, isLasting: false, message: `${need}, where ${free} of ${total} are free now` };
  }

  #space(): { readonly free: number; readonly total: number } {
    const { blocks, bavail, bsize } = fs.statfsSync(this.#directory);
    // A memory file system without a limit says that it has no blocks.
    if (blocks === 0) return { free: Number.POSITIVE_INFINITY, total: Number.POSITIVE_INFINITY };
    return { free: bavail * bsize, total: blocks * bsize };
  }
}

/** The longest time between two looks at a limit that may have changed. */
const MAX_WAIT_MS = 1_000;
