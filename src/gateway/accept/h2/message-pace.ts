import { Expiring } from './deadline-wheel.ts';
import type { Http2Limits } from './http2-limits.ts';

/** By when a message that has begun must have come whole: of room that is kept for it, nobody else has anything. */
export class MessagePace extends Expiring {
  deadline: number;
  readonly #onLate: () => void;

  /** @param byteLength of the message, as it was announced */
  constructor(
    byteLength: number,
    limits: Pick<Http2Limits, 'messageGraceMs' | 'minBytesPerSecond'>,
    onLate: () => void,
  ) {
    super();
    const { messageGraceMs, minBytesPerSecond } = limits;
    this.deadline = performance.now() + messageGraceMs + (byteLength / minBytesPerSecond) * 1_000;
    this.#onLate = onLate;
  }

  override expire(): void {
    this.#onLate();
  }
}
