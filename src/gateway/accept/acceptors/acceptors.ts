/**
 * A gRPC transport of several threads: each accepts connections on one port, and one owner, the thread that starts them, answers
 * all calls. Limits, queues, statistics and everything else behind `Routes` see the same calls as with one thread.
 *
 * ACC-1: a thread that ends by a fault loses only its own connections: its calls are cancelled, all others go on.
 * ACC-2: another thread takes its place, at once the first time, and after a pause that doubles as long as threads end soon.
 * ACC-3: from a drain on no thread is started.
 */

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { messageOf } from '../../../error-message.ts';
import { SharedConnectionGroup } from '../../../http2/connection-group.ts';
import { DEFAULT_LIMITS, type Http2Limits } from '../../../http2/limits.ts';
import type { TlsFiles } from '../../../http2/tls-identity.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import type { AcceptorGauges, TransportGauges } from '../../ops/gateway-state.ts';
import { bind } from '../bind.ts';
import type { Listen, Routes, Transport, TransportOptions } from '../call.ts';
import { Acceptor } from './acceptor.ts';
import { AcceptorCells, type AcceptorSpec, clockOrigin } from './acceptor-protocol.ts';
import { type NumberedRoutes, numberRoutes } from './call-desk.ts';
import { describeRoutes } from './route-description.ts';

export interface AcceptorsOptions {
  /** Number of threads, at least 1. */
  readonly count: number;
  readonly tls?: TlsFiles;
  /** How often each thread looks at the files of TLS; as `TlsIdentityOptions.reloadMs`. */
  readonly tlsReloadMs?: number;
  readonly limits?: Partial<Http2Limits>;
  /** The directory of the mailboxes, where the tensors of large inference requests land; without it they stay in memory. */
  readonly landingDirectory?: string;
}

const NONE: AcceptorGauges = { connections: 0, activeMs: 0 };

/** A thread that lived for so long is not one of a series. */
const STEADY_MS = 10_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;

/** @returns how to start a transport of `count` acceptors */
export function acceptorsListener(options: AcceptorsOptions): Listen {
  return (transport, routes) => Acceptors.start(transport, routes, options);
}

export class Acceptors implements Transport {
  readonly port: number;
  readonly #spec: SharedSpec;
  readonly #routes: NumberedRoutes;
  readonly #acceptors: (Acceptor | undefined)[] = [];
  /** Acceptors that are being started again, or wait for it. */
  readonly #restarts = new Map<number, NodeJS.Timeout | Promise<void>>();
  #drained: Promise<void> | undefined;

  private constructor(first: Acceptor, spec: SharedSpec, routes: NumberedRoutes) {
    this.port = first.port;
    this.#spec = { ...spec, options: { ...spec.options, port: first.port } };
    this.#routes = routes;
    this.#install(0, first, FIRST_PAUSE_MS);
  }

  static async start(options: TransportOptions, routes: Routes, acceptors: AcceptorsOptions): Promise<Acceptors> {
    const spec = sharedSpec(options, routes, acceptors);
    const numbered = numberRoutes(routes);
    if (options.port !== 0) await refuseForeignPort(options);
    const transport = new Acceptors(await Acceptor.start(specOf(spec, 0), numbered), spec, numbered);
    const others = Array.from({ length: acceptors.count - 1 }, (_, at) => transport.#start(at + 1, FIRST_PAUSE_MS));
    try {
      await Promise.all(others);
    } catch (error) {
      await Promise.allSettled(others);
      await transport.drain(0);
      throw error;
    }
    return transport;
  }

  get gauges(): TransportGauges {
    const each = this.#acceptors.flatMap((acceptor) => acceptor?.gauges ?? []);
    const sum = (name: keyof Omit<TransportGauges, 'acceptors'>): number =>
      each.reduce((total, gauges) => total + gauges[name], 0);
    return {
      connections: sum('connections'),
      streams: sum('streams'),
      incomingBytes: sum('incomingBytes'),
      unreadBytes: sum('unreadBytes'),
      acceptors: Array.from({ length: this.#spec.count }, (_, at) => this.#acceptors[at]?.gauges ?? NONE),
    };
  }

  drain(graceMs: number): Promise<void> {
    this.#drained ??= this.#drain(graceMs);
    return this.#drained;
  }

  async #drain(graceMs: number): Promise<void> {
    const starting: Promise<void>[] = [];
    for (const restart of this.#restarts.values()) {
      if (restart instanceof Promise) starting.push(restart);
      else clearTimeout(restart);
    }
    await Promise.all(this.#acceptors.map((acceptor) => acceptor?.drain(graceMs)));
    await Promise.all(starting);
  }

  async #start(at: number, pauseMs: number): Promise<void> {
    const acceptor = await Acceptor.start(specOf(this.#spec, at), this.#routes);
    this.#install(at, acceptor, pauseMs);
    if (this.#drained !== undefined) await acceptor.drain(0);
  }

  /** @param pauseMs before it is started again, should it end soon */
  #install(at: number, acceptor: Acceptor, pauseMs: number): void {
    this.#acceptors[at] = acceptor;
    const startedAt = performance.now();
    void acceptor.ended.then((cause) => {
      this.#acceptors[at] = undefined;
      connectionsOf(this.#spec, at).clear();
      if (this.#drained !== undefined) return;
      diagnostics.acceptorEnded.publish({ acceptor: at, cause, lostCalls: acceptor.lostCalls });
      const isSteady = performance.now() - startedAt >= STEADY_MS;
      this.#restart(at, isSteady ? 0 : pauseMs, isSteady ? FIRST_PAUSE_MS : Math.min(2 * pauseMs, LONGEST_PAUSE_MS));
    });
  }

  /** @param nextPauseMs the pause after another early end */
  #restart(at: number, pauseMs: number, nextPauseMs: number): void {
    const start = (): void => {
      const started = this.#start(at, nextPauseMs)
        .catch((error: unknown) => {
          const text = `acceptor ${at} does not start again, and is tried after ${nextPauseMs} ms: ${messageOf(error)}`;
          diagnostics.notice.publish({ level: 'error', text });
          return 'failed' as const;
        })
        .then((outcome) => {
          this.#restarts.delete(at);
          if (outcome === 'failed' && this.#drained === undefined) {
            this.#restart(at, nextPauseMs, Math.min(2 * nextPauseMs, LONGEST_PAUSE_MS));
          }
        });
      this.#restarts.set(at, started);
    };
    this.#restarts.set(at, setTimeout(start, pauseMs));
  }
}

/** The part of the specification that all acceptors of a transport share. */
interface SharedSpec extends Omit<AcceptorSpec, 'acceptor' | 'cells'> {
  readonly count: number;
}

function sharedSpec(options: TransportOptions, routes: Routes, acceptors: AcceptorsOptions): SharedSpec {
  const { count, tls, tlsReloadMs, limits, landingDirectory } = acceptors;
  const { host, port, maxMessageBytes, maxConcurrentStreams, defaultDeadlineMs, maxDeadlineMs } = options;
  return {
    count,
    // Only these: options may hold more, which need not be cloned.
    options: { host, port, maxMessageBytes, maxConcurrentStreams, defaultDeadlineMs, maxDeadlineMs },
    limits: { ...DEFAULT_LIMITS, ...limits },
    tls,
    tlsReloadMs,
    routes: describeRoutes(routes),
    landingDirectory,
    clockOrigin: clockOrigin(),
    connections: { memory: SharedConnectionGroup.memoryFor(count), seed: randomInt(2 ** 32) },
  };
}

function specOf({ count: _, ...spec }: SharedSpec, acceptor: number): AcceptorSpec {
  return { ...spec, acceptor, cells: AcceptorCells.memory() };
}

function connectionsOf({ connections: { memory, seed } }: SharedSpec, at: number): SharedConnectionGroup {
  return new SharedConnectionGroup(memory, at, seed);
}

/** Listeners that share a port would share it with another server of this user as well, without a word. */
async function refuseForeignPort(options: TransportOptions): Promise<void> {
  const probe = createServer();
  await bind(probe, options);
  await new Promise((resolve) => probe.close(resolve));
}
