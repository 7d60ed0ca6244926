import { Bag } from '../../../bag.ts';
import { limitReached } from './limit-events.ts';

export interface UnreadAnswer {
  readonly bytes: number;
  /** When the client last took some of it, in milliseconds. */
  readonly movedAt: number;
  cut(): void;
}

/** An answer that has not moved for so long may be cut for the sake of others. */
const STILL_MS = 1_000;

/** The answers that clients of all connections are taking: each counts whole until its last byte is taken, as it is held. */
export class UnreadAnswers {
  readonly #maxBytes: number;
  readonly #answers = new Bag<UnreadAnswer>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Makes room by cutting the answers that have stood still longest. False: there is none, and nothing was added. */
  add(answer: UnreadAnswer, now: number): boolean {
    while (this.#bytes + answer.bytes > this.#maxBytes) {
      limitReached('maxUnreadBytesInAll');
      const stillest = this.#stillest(now);
      if (stillest === undefined) return false;
      this.remove(stillest);
      stillest.cut();
    }
    this.#answers.add(answer);
    this.#bytes += answer.bytes;
    return true;
  }

  remove(answer: UnreadAnswer): void {
    if (this.#answers.delete(answer)) this.#bytes -= answer.bytes;
  }

  #stillest(now: number): UnreadAnswer | undefined {
    let stillest: UnreadAnswer | undefined;
    for (const answer of this.#answers) {
      if (now - answer.movedAt < STILL_MS) continue;
      if (stillest === undefined || answer.movedAt < stillest.movedAt) stillest = answer;
    }
    return stillest;
  }
}
