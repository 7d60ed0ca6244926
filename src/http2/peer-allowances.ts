import { Allowance } from './allowance.ts';
import { LimitError } from './error-code.ts';
import type { Http2Limits, LimitListener } from './limits.ts';
import type { Http2Stream } from './stream.ts';

/** The tokens of a frame that brings nothing. */
export const NUISANCE = 1;
/** Much cheaper, and now and then legitimate in numbers. */
export const SMALL_NUISANCE = 0.1;
/** A stream that lived so long was bounded by the number of streams: its reset is free. */
const RESET_IS_FREE_AFTER_MS = 1_000;
/** To open a call while calls are refused, and to reset it all the same, is what only an attacker does. */
const DEFIANCE = 4;
/** So many bursts of resets a busy client may save by calls that were answered. */
const SAVED_BURSTS = 10;

interface AllowanceOwner extends LimitListener {
  readonly limits: Http2Limits;
  /** A coarse clock, in milliseconds. */
  readonly now: number;
}

/** Free actions of one peer, which it earns back by work. */
export class PeerAllowances {
  readonly #owner: AllowanceOwner;
  readonly #control: Allowance;
  /** RST_STREAM frames of the client. */
  readonly #resets: Allowance;
  /** Resets that the client makes us send. */
  readonly #violations: Allowance;

  constructor(owner: AllowanceOwner) {
    const { controlBurst, controlPerSecond, resetBurst, resetsPerSecond } = owner.limits;
    this.#owner = owner;
    this.#control = new Allowance(controlBurst, controlPerSecond);
    this.#resets = new Allowance(resetBurst, resetsPerSecond, SAVED_BURSTS * resetBurst);
    this.#violations = new Allowance(resetBurst, resetsPerSecond, SAVED_BURSTS * resetBurst);
  }

  /** The client has reset so many calls that it gets no more for now. */
  get isThrottled(): boolean {
    return this.#resets.isOverdrawn(this.#owner.now);
  }

  /** An answered call earns new allowances. */
  earn(): void {
    this.#control.earn(1);
    this.#resets.earn(1);
    this.#violations.earn(1);
  }

  /** A message was sent: clients answer these with PING and WINDOW_UPDATE. */
  earnControl(): void {
    this.#control.earn(1);
  }

  /** For a frame that brings nothing. @throws LimitError */
  spend(tokens: number, what: string): void {
    if (this.#control.spend(tokens, this.#owner.now)) return;
    throw new LimitError('controlBurst', `too many ${what}`);
  }

  /** The client has reset `stream`, which is still open. */
  spendReset(stream: Http2Stream): void {
    const { now } = this.#owner;
    const isFree = now - stream.openedAt >= RESET_IS_FREE_AFTER_MS;
    const cost = isFree ? 0 : (stream.exchange?.resetCost ?? 1);
    if (!this.#resets.spend(cost, now)) this.#owner.limitReached('resetBurst');
  }

  /** The client has reset a closed stream. @throws LimitError */
  spendLateReset(): void {
    this.spend(SMALL_NUISANCE, 'RST_STREAM of a closed stream');
    if (this.isThrottled) this.#spendViolation(DEFIANCE);
  }

  /** The client has made us reset `stream`; `undefined`: one that was not open. @throws LimitError */
  spendViolation(stream: Http2Stream | undefined): void {
    if (stream !== undefined && this.#owner.now - stream.openedAt >= RESET_IS_FREE_AFTER_MS) return;
    this.#spendViolation(1);
  }

  #spendViolation(tokens: number): void {
    if (this.#violations.spend(tokens, this.#owner.now)) return;
    throw new LimitError('resetBurst', 'too many streams that are reset');
  }
}
