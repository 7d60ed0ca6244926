import type { ServerHttp2Session } from 'node:http2';
import { WayBack } from '../../http2/way-back.ts';

const PROBE_INTERVAL_MS = 1_000;

/** The ways back of the connections of grpc-js, by the peer as its calls name it. */
export class GrpcJsWayBacks {
  readonly #byPeer = new Map<string, WayBack>();

  /** Measures a session by a PING with a call, at most one a second and one at a time. */
  watch(session: ServerHttp2Session): void {
    const wayBack = new WayBack();
    const peer = `${session.socket?.remoteAddress}:${session.socket?.remotePort}`;
    let probedAt = Number.NEGATIVE_INFINITY;
    let isAsked = false;
    this.#byPeer.set(peer, wayBack);
    session.once('close', () => this.#byPeer.delete(peer));
    session.on('stream', () => {
      const now = performance.now();
      if (isAsked || now - probedAt < PROBE_INTERVAL_MS || session.destroyed) return;
      probedAt = now;
      isAsked = session.ping((error, roundTripMs) => {
        isAsked = false;
        if (error === null) wayBack.observe(roundTripMs);
      });
    });
  }

  /** @param peer as `getPeer` of a call gives it */
  of(peer: string): WayBack {
    return this.#byPeer.get(peer) ?? new WayBack();
  }
}
