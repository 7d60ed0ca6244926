/** The connections of a client: one for each of its addresses. */

import { Client, type ClientReadableStream, connectivityState, Metadata, status } from '@grpc/grpc-js';
import { toChannelOptions, toCredentials, toTarget, toWallClock } from './channel-settings.ts';
import type { ClientOptions } from './client-options.ts';
import { type HealthStatus, watchMethod } from './health-service.ts';
import { whileNotAborted } from './pause.ts';

/** Pause before a watch of the health that ended is started again, in milliseconds. */
const WATCH_PAUSE_MS = 1_000;

/** One address and its connection. */
class Channel {
  readonly grpc: Client;
  /** Calls under way. */
  pending = 0;
  /** `false`: the server says that it takes no requests now. */
  isServing = true;
  #watch: ClientReadableStream<{ readonly status: HealthStatus }> | undefined;
  #pause: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(address: string, options: ClientOptions) {
    const { name, isSecure } = toTarget(address, options.tls !== undefined);
    this.grpc = new Client(name, toCredentials(options, isSecure), toChannelOptions(options));
  }

  get state(): connectivityState {
    return this.grpc.getChannel().getConnectivityState(false);
  }

  /** Begins to connect, unless it is connected or about to be. */
  connect(): void {
    this.grpc.getChannel().getConnectivityState(true);
  }

  /** Resolves when the state of the connection is no longer `state`; rejects at `deadline`. */
  untilChange(state: connectivityState, deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.grpc.getChannel().watchConnectivityState(state, deadline, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Follows the health of the server by `grpc.health.v1.Health`; a server without it counts as serving. */
  watchHealth(): void {
    if (this.#watch !== undefined || this.#pause !== undefined || this.#isClosed) return;
    const { path, requestSerialize, responseDeserialize } = watchMethod();
    const metadata = new Metadata({ waitForReady: true });
    const watch = this.grpc.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { service: '' },
      metadata,
    );
    this.#watch = watch;
    watch.on('data', ({ status: health }) => {
      this.isServing = health === 'SERVING';
    });
    watch.on('error', () => {});
    watch.on('status', ({ code }) => {
      this.isServing = true;
      if (this.#isClosed || code === status.UNIMPLEMENTED) return;
      this.#watch = undefined;
      this.#pause = setTimeout(() => {
        this.#pause = undefined;
        this.watchHealth();
      }, WATCH_PAUSE_MS);
      this.#pause.unref();
    });
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#pause);
    this.#watch?.cancel();
    this.grpc.close();
  }
}

/** A connection that a call may use, until it is released. */
export interface Lease {
  readonly grpc: Client;
  release(): void;
}

/**
 * Chooses a connection for each call: of those that are open and whose server is healthy, the one with the fewest calls under way.
 * With one address there is nothing to choose, and no health is watched.
 */
export class ChannelPool {
  readonly #channels: readonly Channel[];
  #turn = 0;
  #idle: (() => void)[] = [];

  /** @throws TypeError where there is no address, or one cannot be used */
  constructor(addresses: string | readonly string[], options: ClientOptions) {
    const list = typeof addresses === 'string' ? [addresses] : addresses;
    if (list.length === 0) throw new TypeError('a client needs the address of a server: expected HOST:PORT, got none');
    this.#channels = list.map((address) => new Channel(address, options));
  }

  get connected(): boolean {
    return this.#channels.some(({ state }) => state === connectivityState.READY);
  }

  /**
   * With several addresses it waits until a connection is open, and gives up at the deadline or when `signal` is aborted.
   * @param deadlineAt of the call, by the clock of `performance.now()`
   */
  async acquire(deadlineAt: number | undefined, signal: AbortSignal | undefined): Promise<Lease> {
    const [only] = this.#channels;
    if (this.#channels.length === 1 && only !== undefined) return this.#lease(only);
    for (const channel of this.#channels) {
      channel.connect();
      channel.watchHealth();
    }
    if (!this.connected) await whileNotAborted(this.#untilConnected(deadlineAt), signal);
    return this.#lease(this.#choose());
  }

  /** Resolves when no call is under way. */
  untilIdle(): Promise<void> {
    if (this.#pending === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): void {
    for (const channel of this.#channels) channel.close();
  }

  get #pending(): number {
    return this.#channels.reduce((sum, { pending }) => sum + pending, 0);
  }

  #lease(channel: Channel): Lease {
    channel.pending += 1;
    return {
      grpc: channel.grpc,
      release: () => {
        channel.pending -= 1;
        if (this.#pending === 0) for (const resolve of this.#idle.splice(0)) resolve();
      },
    };
  }

  #choose(): Channel {
    const open = this.#channels.filter(({ state }) => state === connectivityState.READY);
    const healthy = open.filter(({ isServing }) => isServing);
    const candidates = [healthy, open, this.#channels].find(({ length }) => length > 0) ?? [];
    const least = Math.min(...candidates.map(({ pending }) => pending));
    const ties = candidates.filter(({ pending }) => pending === least);
    this.#turn += 1;
    return ties[this.#turn % ties.length] as Channel;
  }

  /** Resolves when a connection is open, or every attempt to open one has failed, or at the deadline. */
  async #untilConnected(deadlineAt: number | undefined): Promise<void> {
    const deadline = toWallClock(deadlineAt ?? Number.POSITIVE_INFINITY);
    const attempts = this.#channels.map(async (channel) => {
      for (let state = channel.state; state !== connectivityState.READY; state = channel.state) {
        if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) {
          throw new Error('not connected');
        }
        await channel.untilChange(state, deadline);
      }
    });
    // The call itself reports why no server can be reached.
    await Promise.any(attempts).catch(() => {});
  }
}
