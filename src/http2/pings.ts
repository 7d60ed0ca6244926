import type { FrameWriter } from './frame-writer.ts';
import type { WayBack } from './way-back.ts';

/** Payload of the PING that asks whether the peer is there. */
const PING_PAYLOAD = Buffer.from('tensorgt', 'latin1');
/** Payload of the PING that measures the way back; its answer must not be taken for another's. */
const PROBE_PAYLOAD = Buffer.from('way back', 'latin1');

interface PingOwner {
  readonly writer: FrameWriter;
  readonly wayBack: WayBack;
  /** A coarse clock, in milliseconds. */
  readonly now: number;
  /** Asks for a flush at the end of this turn of the event loop. */
  touched(): void;
}

/** The PING frames that a connection sends (RFC 9113, section 6.7), one of each kind at a time. */
export class Pings {
  readonly #owner: PingOwner;
  /** Something was asked or sent since the last probe. */
  isUsed = false;
  #isProbed = false;
  /** On the clock of `performance.now()`, as a round trip is shorter than a step of the coarse one. */
  #probedAt: number | undefined;
  #askedAt: number | undefined;

  constructor(owner: PingOwner) {
    this.#owner = owner;
  }

  /** When the peer was asked whether it is there, unless it has answered. */
  get askedAt(): number | undefined {
    return this.#askedAt;
  }

  ask(): void {
    this.#askedAt = this.#owner.now;
    this.#owner.writer.ping(0, PING_PAYLOAD);
    this.#owner.touched();
  }

  /** Measures the way back, where that was never done. */
  probeOnce(): void {
    if (!this.#isProbed) this.probe();
  }

  /** Measures the way back. A peer that does not answer is not asked again. */
  probe(): void {
    if (this.#probedAt !== undefined) return;
    this.#probedAt = performance.now();
    this.isUsed = false;
    this.#isProbed = true;
    this.#owner.writer.ping(0, PROBE_PAYLOAD);
    this.#owner.touched();
  }

  /** @returns which PING the peer has answered; `undefined` where there was none */
  answered(opaque: Buffer): 'probe' | 'ask' | undefined {
    if (this.#probedAt !== undefined && opaque.equals(PROBE_PAYLOAD)) {
      this.#owner.wayBack.observe(performance.now() - this.#probedAt);
      this.#probedAt = undefined;
      return 'probe';
    }
    if (this.#askedAt === undefined) return undefined;
    this.#askedAt = undefined;
    return 'ask';
  }
}
