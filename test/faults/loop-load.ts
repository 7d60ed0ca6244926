/** A server whose event loop and memory are watched while others ask it. */

import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { startServer, type TestServer } from '../support/server.ts';

const PROBE = new URL('loop-probe.ts', import.meta.url);
const CHECK = '/grpc.health.v1.Health/Check';
/** Between two checks of a bystander. */
const CHECK_EVERY_MS = 20;

/** What one piece of work cost the server's gateway process. */
export interface Cost {
  /** The longest CPU time of the event loop's thread from one tick to the next, in milliseconds. */
  readonly maxMs: number;
  /** By how much the resident memory rose at its highest, in bytes. */
  readonly grownBytes: number;
  /** Checks of other callers meanwhile that were not answered, and why. */
  readonly unanswered: readonly string[];
  readonly answered: number;
}

/** A server under watch, and a bystander on connections of its own who asks for its health over gRPC and HTTP. */
export class WatchedServer implements AsyncDisposable {
  readonly server: TestServer;
  readonly #socket: string;
  readonly #bystander: RawClient;
  /** The CPU times of all ticks during work, in milliseconds. */
  readonly #ticksMs: number[] = [];

  private constructor(server: TestServer, socket: string) {
    this.server = server;
    this.#socket = socket;
    this.#bystander = new RawClient(server.grpc);
  }

  static async start(repository: string, flags: readonly string[] = []): Promise<WatchedServer> {
    const socket = `tensorgate-loop-probe-${randomUUID()}`;
    const server = await startServer(repository, {
      flags: ['--log-level', 'error', ...flags],
      env: { NODE_OPTIONS: `--import=${PROBE}`, LOOP_PROBE: socket },
    });
    return new WatchedServer(server, socket);
  }

  /** Does `work`, and says what it cost. What it resolves with is lost. */
  async costOf(work: () => Promise<unknown>): Promise<Cost> {
    const { pid } = this.server;
    await this.#ticks();
    // The highest resident memory counts from now on (proc(5), clear_refs).
    fs.writeFileSync(`/proc/${pid}/clear_refs`, '5');
    const before = statusBytes(pid, 'VmRSS');
    const over = new AbortController();
    const checks = Promise.all([this.#check(over.signal), this.#probe(over.signal)]);
    await work().finally(() => over.abort());
    const outcomes = (await checks).flat();
    const ticks = await this.#ticks();
    this.#ticksMs.push(...ticks);
    const unanswered = outcomes.filter((outcome) => outcome !== 'OK');
    return {
      maxMs: Math.max(0, ...ticks),
      grownBytes: statusBytes(pid, 'VmHWM') - before,
      unanswered,
      answered: outcomes.length - unanswered.length,
    };
  }

  /** CPU time that 99 of 100 ticks stay below, over all work so far, in milliseconds. */
  get p99Ms(): number {
    return this.#ticksMs.toSorted((a, b) => a - b)[Math.floor(this.#ticksMs.length * 0.99)] ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#bystander.close();
    await this.server.stop();
  }

  async #ticks(): Promise<number[]> {
    return JSON.parse(await text(connect(`\0${this.#socket}`)));
  }

  /** Over gRPC, one after another. */
  async #check(over: AbortSignal): Promise<string[]> {
    const outcomes: string[] = [];
    do {
      const { status, text: why } = await this.#bystander.unary(CHECK, Buffer.alloc(0), { timeoutMs: 20_000 });
      outcomes.push(status === 'OK' ? status : `health ${status} ${why}`);
      await pause(CHECK_EVERY_MS);
    } while (!over.aborted);
    return outcomes;
  }

  /** As the kubelet does, on a new connection each time. */
  async #probe(over: AbortSignal): Promise<string[]> {
    const outcomes: string[] = [];
    do {
      const outcome = await fetch(`${this.server.http}/livez`, {
        headers: { connection: 'close' },
        signal: AbortSignal.timeout(20_000),
      }).then(
        ({ status }) => (status === 200 ? 'OK' : `/livez ${status}`),
        (error: unknown) => `/livez ${error}`,
      );
      outcomes.push(outcome);
      await pause(CHECK_EVERY_MS);
    } while (!over.aborted);
    return outcomes;
  }
}

function statusBytes(pid: number, key: 'VmRSS' | 'VmHWM'): number {
  const text = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) * 1_024;
}
