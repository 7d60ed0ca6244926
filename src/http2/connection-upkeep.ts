import { ErrorCode } from './error-code.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { GracefulShutdown } from './graceful-shutdown.ts';
import type { Http2Limits, LimitListener } from './limits.ts';
import type { Pings } from './pings.ts';
import type { RequestRoom } from './request-room.ts';
import type { StreamTable } from './stream-table.ts';
import { dutyOf, type Vitals } from './upkeep.ts';

/** Ages differ by a tenth up or down, so that not all clients come back at once. */
const AGE_JITTER = 0.1;
/** A connection that is silent for so long gives its buffer back. */
const IDLE_MS = 5_000;
/** Most time that one look at a request counts; looks are a second apart. */
const MAX_LOOK_MS = 2_000;

export interface UpkeepOwner extends LimitListener {
  readonly limits: Http2Limits;
  /** A coarse clock, in milliseconds. */
  readonly now: number;
  readonly streams: StreamTable;
  readonly room: RequestRoom;
  readonly writer: FrameWriter;
  readonly pings: Pings;
  readonly hasSettings: boolean;
  /** A number for what has begun and does not end; 0: nothing. */
  readonly unfinished: number;
  drain(): void;
  abandon(): void;
  abort(code: ErrorCode, text: string): void;
  /** Closes the socket at once. */
  destroy(): void;
}

/** Looks at a connection about once a second, and does the work that is due. */
export class ConnectionUpkeep {
  readonly #owner: UpkeepOwner;
  readonly #shutdown: GracefulShutdown;
  readonly #openedAt: number;
  readonly #maxAgeMs: number;
  /** The last byte came. */
  receivedAt: number;
  /** The socket became full, and still is. */
  blockedAt: number | undefined = undefined;
  #lookedAt: number;
  #unfinished = 0;
  #unfinishedSince = 0;

  constructor(owner: UpkeepOwner, shutdown: GracefulShutdown) {
    const { now, limits } = owner;
    this.#owner = owner;
    this.#shutdown = shutdown;
    this.#openedAt = now;
    this.receivedAt = now;
    this.#lookedAt = now;
    this.#maxAgeMs = limits.maxAgeMs * (1 + AGE_JITTER * (2 * Math.random() - 1));
  }

  look(): void {
    const owner = this.#owner;
    this.#lookAtRequests();
    if (owner.pings.isUsed) owner.pings.probe();
    if (owner.unfinished !== this.#unfinished) {
      this.#unfinished = owner.unfinished;
      this.#unfinishedSince = owner.now;
    }
    switch (dutyOf(this.#vitals, owner.limits, owner.now)) {
      case 'ping':
        owner.pings.ask();
        break;
      case 'retire':
        owner.limitReached('maxAgeMs');
        owner.drain();
        break;
      case 'abandon':
        owner.limitReached('ageGraceMs');
        owner.abandon();
        break;
      case 'refuse':
        owner.limitReached('handshakeMs');
        owner.abort(ErrorCode.SETTINGS_TIMEOUT, 'no SETTINGS');
        break;
      case 'interrupt':
        owner.limitReached('handshakeMs');
        owner.abort(ErrorCode.ENHANCE_YOUR_CALM, 'a header block, or a frame, that does not end');
        break;
      case 'stalled':
        owner.limitReached('stallMs');
        owner.destroy();
        break;
      case 'silent':
        owner.limitReached('keepaliveTimeoutMs');
        owner.destroy();
        break;
      case 'overdue':
        owner.destroy();
        break;
      case 'nothing':
        if (owner.streams.size === 0 && owner.now - this.receivedAt > IDLE_MS) owner.writer.release();
        break;
    }
  }

  #lookAtRequests(): void {
    const { now, room } = this.#owner;
    // After a pause of ours the peer's bytes are in the kernel, and are read later.
    const elapsedMs = Math.min(now - this.#lookedAt, MAX_LOOK_MS);
    this.#lookedAt = now;
    room.look(elapsedMs);
  }

  get #vitals(): Vitals {
    return {
      openedAt: this.#openedAt,
      maxAgeMs: this.#maxAgeMs,
      receivedAt: this.receivedAt,
      hasSettings: this.#owner.hasSettings,
      unfinishedSince: this.#unfinished === 0 ? undefined : this.#unfinishedSince,
      pingedAt: this.#owner.pings.askedAt,
      blockedAt: this.blockedAt,
      retiredAt: this.#shutdown.announcedAt,
    };
  }
}
