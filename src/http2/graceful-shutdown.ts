import type { Duplex } from 'node:stream';
import { ErrorCode } from './error-code.ts';
import { MAX_WINDOW_BYTES } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Http2Limits } from './limits.ts';
import type { Pings } from './pings.ts';

/** When a peer does not answer the PING behind the first GOAWAY, its streams are taken to have arrived (section 6.8). */
const LAST_STREAMS_MS = 1_000;
/** Time for a peer to close its end. Until then we read, because closing a socket with unread bytes resets it. */
const CLOSE_MS = 100;

export interface GracefulShutdownOwner {
  readonly writer: FrameWriter;
  readonly pings: Pings;
  readonly limits: Http2Limits;
  /** A coarse clock, in milliseconds. */
  readonly now: number;
  /** Knows the last stream that was taken (section 6.8). */
  readonly carrier: { readonly lastTaken: number };
  readonly isOver: boolean;
  /** Asks for a flush at the end of this turn of the event loop. */
  touched(): void;
}

/**
 * Ends a connection after its open calls. GOAWAY comes twice (RFC 9113, section 6.8): the first says only that there
 * will be an end, and lets streams come that are under way; the second names the last that was taken.
 */
export class GracefulShutdown {
  readonly #owner: GracefulShutdownOwner;
  readonly #socket: Duplex;
  #announcedAt: number | undefined;
  #isFinal = false;
  #destruction: NodeJS.Timeout | undefined;

  constructor(owner: GracefulShutdownOwner, socket: Duplex) {
    this.#owner = owner;
    this.#socket = socket;
  }

  /** When the first GOAWAY was sent, if so. */
  get announcedAt(): number | undefined {
    return this.#announcedAt;
  }

  /** The last GOAWAY is sent. */
  get isFinal(): boolean {
    return this.#isFinal;
  }

  announce(): void {
    this.#announcedAt = this.#owner.now;
    this.#owner.writer.goAway(MAX_WINDOW_BYTES, ErrorCode.NO_ERROR, '');
    this.#owner.pings.ask();
    setTimeout(() => this.finish(), LAST_STREAMS_MS).unref();
  }

  /** Everything that the client sent before it read the first GOAWAY has come. */
  finish(): void {
    if (this.#announcedAt === undefined || this.#isFinal || this.#owner.isOver) return;
    this.#isFinal = true;
    this.#owner.writer.goAway(this.#owner.carrier.lastTaken, ErrorCode.NO_ERROR, '');
    this.#owner.touched();
  }

  /** Ends the socket once everything is written. */
  close(): void {
    const socket = this.#socket;
    const destroyAfter = (milliseconds: number): void => {
      clearTimeout(this.#destruction);
      this.#destruction = setTimeout(() => socket.destroy(), milliseconds).unref();
    };
    destroyAfter(this.#owner.limits.stallMs);
    socket.end(() => destroyAfter(CLOSE_MS));
  }

  /** The socket is closed. The timer would keep all that the connection has, and peers come and go much faster. */
  gone(): void {
    clearTimeout(this.#destruction);
  }
}
