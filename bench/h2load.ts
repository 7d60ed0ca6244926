/**
 * Load from h2load (nghttp2), for cost: a client in JavaScript on the other core would itself be the limit, and a server that
 * waits for its clients pays for wake-ups instead of calls.
 */

import fs from 'node:fs';
import path from 'node:path';
import { h2load } from '../test/tools/tools.ts';
import { runClient } from './processes.ts';

const MOST_CONNECTIONS = 4;
const MODEL_INFER = '/inference.GRPCInferenceService/ModelInfer';

const REQUESTS = /^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed/m;
const DATA = /\((\d+)\) data$/m;

export interface Flood {
  readonly ratePerS: number;
  readonly inFlight: number;
  readonly seconds: number;
  readonly timeoutMs: number;
  /** The prefix and the message of an answer. */
  readonly answerBytes: number;
}

export interface LoadReport {
  readonly done: number;
  /** Bytes of DATA, or of bodies: h2load does not look at `grpc-status`. */
  readonly bytes: number;
  readonly stdout: string;
}

/**
 * Runs h2load on the core of the clients.
 * @throws Error without h2load, and where a request got another status than 2xx
 */
export async function runH2load(args: readonly string[]): Promise<LoadReport> {
  const program = h2load();
  if (program === undefined) throw new Error('h2load is not installed: run test/tools/setup.sh');
  const stdout = await runClient(program, args);
  const [, done, succeeded, failed] = (REQUESTS.exec(stdout) ?? []).map(Number);
  if (failed !== 0 || done === undefined || done === 0 || succeeded !== done) {
    throw new Error(`calls failed:\n${stdout}`);
  }
  return { done, bytes: Number(DATA.exec(stdout)?.[1]), stdout };
}

/** One message that is sent again and again as a ModelInfer. */
export class H2Load {
  readonly #file: string;
  readonly #scheme: 'http' | 'https';

  constructor(scratch: string, name: string, message: Uint8Array, scheme: 'http' | 'https' = 'http') {
    this.#scheme = scheme;
    this.#file = path.join(scratch, `${name}.message`);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.byteLength, 1);
    fs.writeFileSync(this.#file, Buffer.concat([prefix, message]));
  }

  /**
   * Keeps `inFlight` calls under way for `seconds`, over four connections, or one if `inFlight` is one.
   * @param answerBytes that an answer has at least
   * @returns how many were answered. @throws Error where one was not
   */
  async closedLoop(port: number, inFlight: number, seconds: number, answerBytes: number): Promise<number> {
    const { done, bytes, stdout } = await this.#run(port, inFlight, seconds, '20S');
    // Answers that the end of the run cut short may add some bytes.
    if (bytes < done * answerBytes) throw new Error(`calls failed:\n${stdout}`);
    return done;
  }

  /**
   * The same with calls whose deadline of `timeoutMs` the server cannot meet.
   * @returns how many were refused. @throws Error where more than one in a hundred was answered
   */
  async refusals(
    port: number,
    inFlight: number,
    { seconds, timeoutMs, answerBytes }: { seconds: number; timeoutMs: number; answerBytes: number },
  ): Promise<number> {
    const { done, bytes, stdout } = await this.#run(port, inFlight, seconds, `${timeoutMs}m`);
    const answered = bytes / answerBytes;
    if (answered > done / 100) throw new Error(`calls were answered:\n${stdout}`);
    return done - answered;
  }

  /** @returns the bytes of DATA of one answer */
  async answerBytes(port: number): Promise<number> {
    const { done, bytes } = await this.#run(port, MOST_CONNECTIONS, 1, '20S');
    return bytes / done;
  }

  /**
   * Sends `ratePerS` calls with a deadline of `timeoutMs` for `seconds`, as long as fewer than `inFlight` are under way.
   * @returns how many ended, and how many of them were answered: the server ends a call at its deadline
   */
  async flood(
    port: number,
    { ratePerS, inFlight, seconds, timeoutMs, answerBytes }: Flood,
  ): Promise<{ readonly done: number; readonly answered: number }> {
    const rate = ['--rps', String(Math.ceil(ratePerS / MOST_CONNECTIONS))];
    const { done, bytes } = await this.#run(port, inFlight, seconds, `${timeoutMs}m`, rate);
    return { done, answered: bytes / answerBytes };
  }

  #run(
    port: number,
    inFlight: number,
    seconds: number,
    timeout: string,
    rate: readonly string[] = [],
  ): Promise<LoadReport> {
    const connections = Math.min(MOST_CONNECTIONS, inFlight);
    return runH2load([
      ...[...rate, '-D', String(seconds), '-c', String(connections), '-m', String(inFlight / connections)],
      ...['-d', this.#file, '-H', 'content-type: application/grpc', '-H', 'te: trailers'],
      ...['-H', `grpc-timeout: ${timeout}`, `${this.#scheme}://127.0.0.1:${port}${MODEL_INFER}`],
    ]);
  }
}
