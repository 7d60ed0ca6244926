/** A client of Node's HTTP/2 calls a connection of ours over pieces of bytes, and changes its SETTINGS as it goes. */

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import type { Method } from '../../src/gateway/accept/call.ts';
import type { StatusCode } from '../../src/gateway/errors.ts';
import { MemoryConnection, NOTHING_HELD } from '../http2/memory-connection.ts';
import { grpcMessage } from '../http2/raw-frames.ts';
import { below, pick, type Random, randomBytes } from '../support/random.ts';
import { PeerSocket, turn } from './node-peer.ts';

/** What a call is to be answered with. */
interface Answer {
  readonly code: StatusCode;
  readonly text: string;
  readonly trailers: Readonly<Record<string, string>>;
  readonly message: Buffer;
}

function anyAnswer(random: Random): Answer {
  const codes = [0, 0, 0, 3, 5, 8, 13, 14] as const;
  const trailers = Object.fromEntries(
    Array.from({ length: below(3, random) }, () => [
      `x-${below(4, random)}`,
      `value ${'v'.repeat(below(300, random))}.`,
    ]),
  );
  const length = random() < 0.1 ? below(200_000, random) : below(2_000, random);
  const message = randomBytes(Math.min(length, 3_000), random);
  return {
    code: pick(codes, random),
    text: pick(['', 'plain', '100 % größer 猫', 'x'.repeat(500)], random),
    trailers: random() < 0.4 ? trailers : {},
    message: Buffer.concat(Array(Math.ceil(length / 3_000)).fill(message)),
  };
}

function anySettings(random: Random): http2.Settings {
  return pick<http2.Settings>(
    [
      { headerTableSize: pick([0, 32, 100, 255, 256, 4_096, 65_536], random) },
      { initialWindowSize: pick([1, 100, 65_535, 1_000_000], random) },
      { maxFrameSize: pick([16_384, 20_000, 1_000_000], random) },
    ],
    random,
  );
}

/** Hands on what one side wrote, in pieces. */
function deliver(pending: Buffer[], random: Random, take: (piece: Buffer) => void): boolean {
  const bytes = Buffer.concat(pending.splice(0));
  const most = random() < 0.3 ? 50 : 20_000;
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + below(most, random));
    take(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  return bytes.length > 0;
}

interface Outcome {
  status: string;
  text: string;
  trailers: Record<string, string>;
  body: Buffer;
}

export async function tryCalls(random: Random): Promise<void> {
  const answers = Array.from({ length: 1 + below(12, random) }, () => anyAnswer(random));
  const method: Method = {
    kind: 'unary',
    handle(call) {
      const { code, text, trailers, message } = answers[call.message[0] ?? 0] ?? anyAnswer(random);
      const half = message.length >> 1;
      if (code === 0) call.reply([message.subarray(0, half), message.subarray(half)], trailers);
      else call.fail(code, text, trailers);
    },
  };
  const memory = new MemoryConnection({ '/t/Method': method });
  const toServer: Buffer[] = [];
  const toClient: Buffer[] = memory.socket.writes;
  const socket = new PeerSocket((bytes) => toServer.push(bytes));
  const session = http2.connect('http://peer', { createConnection: () => socket, settings: anySettings(random) });
  const failures: unknown[] = [];
  session.on('error', (error) => failures.push(error));
  const outcomes: Outcome[] = [];
  let asked = 0;
  for (let turns = 0; turns < 3_000 && outcomes.filter(Boolean).length < answers.length; turns++) {
    if (asked < answers.length && random() < 0.5) {
      call(session, asked, (outcome, index) => {
        outcomes[index] = outcome;
      });
      asked++;
    }
    if (random() < 0.1 && !session.destroyed) session.settings(anySettings(random));
    deliver(toServer, random, (piece) => memory.push(piece));
    await turn();
    memory.connection.flush();
    deliver(toClient, random, (piece) => socket.receive(piece));
    await turn();
  }
  session.destroy();
  memory.close();
  assert.deepEqual(failures, []);
  for (const [index, { code, text, trailers, message }] of answers.entries()) {
    const isOk = code === 0;
    assert.deepEqual(outcomes[index], {
      status: String(code),
      text: isOk ? '' : text,
      trailers,
      body: isOk ? grpcMessage(message) : Buffer.alloc(0),
    });
  }
  assert.deepEqual(memory.held, NOTHING_HELD);
}

function call(session: http2.ClientHttp2Session, index: number, done: (outcome: Outcome, index: number) => void): void {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/t/Method',
    'content-type': 'application/grpc',
    te: 'trailers',
    'x-number': String(index),
  });
  const chunks: Buffer[] = [];
  const fields: Record<string, string> = {};
  const note = (more: http2.IncomingHttpHeaders): void => {
    for (const [name, value] of Object.entries(more)) fields[name] = String(value);
  };
  stream.on('response', note);
  stream.on('trailers', note);
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', () => undefined);
  stream.on('close', () => {
    const trailers = Object.fromEntries(Object.entries(fields).filter(([name]) => name.startsWith('x-')));
    const text = decodeURIComponent(fields['grpc-message'] ?? '');
    done({ status: fields['grpc-status'] ?? 'none', text, trailers, body: Buffer.concat(chunks) }, index);
  });
  stream.end(grpcMessage(Buffer.from([index])));
}
