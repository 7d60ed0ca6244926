/**
 * A session that a real client had with a server, changed at random. It may arrive at once, in
 * pieces or byte by byte: it must mean the same to the handlers and to the client, cause no fault of ours, and leave nothing.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Method, Routes } from '../../src/gateway/accept/call.ts';
import { diagnostics, type Notice } from '../../src/gateway/ops/diagnostics.ts';
import { ErrorCode } from '../../src/http2/error-code.ts';
import { HpackDecoder } from '../../src/http2/hpack-decoder.ts';
import { MemoryConnection, NOTHING_HELD } from '../http2/memory-connection.ts';
import { END_STREAM, errorOf, type Frame, framesOf, HELLO, PREFACE, Type } from '../http2/raw-frames.ts';
import { below, type Random } from '../support/random.ts';
import { mutated } from './mutation.ts';

const FOLDER = path.join(import.meta.dirname, 'sessions');

/** What the clients sent behind the preface. */
export const SESSIONS: readonly (readonly Frame[])[] = fs
  .readdirSync(FOLDER)
  .filter((name) => name.endsWith('.bin'))
  .sort()
  .map((name) => framesOf(fs.readFileSync(path.join(FOLDER, name)).subarray(PREFACE.length)));

/** With it the window of the connection is open before anything comes that is counted. */

const UNARY = ['ServerLive', 'ServerReady', 'ModelReady', 'ModelMetadata', 'ModelInfer'];
const STREAMING = [
  'inference.GRPCInferenceService/ModelStreamInfer',
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
];

/** What came of a session. */
interface Outcome {
  /** What the handlers saw, in order. */
  readonly events: readonly string[];
  /** Why the server ended the connection, where it did. */
  readonly goAway: string | undefined;
  /** By stream: its answer, where it was complete. */
  readonly answers: ReadonlyMap<number, string>;
  /** Codes of the streams that were reset. */
  readonly resets: ReadonlySet<number>;
}

/** The methods that the sessions call; they note what they see. */
function methodsOf(events: string[]): Routes {
  const unary: Method = {
    kind: 'unary',
    handle(call) {
      events.push(
        `unary ${call.path} ${digest(call.message)} ${[...call.keys()].map((key) => `${key}=${call.get(key)}`)}`,
      );
      if (call.message.length % 7 === 6) call.fail(3, `fails: ${call.message.length}`, { 'x-why': 'asked' });
      else call.reply([call.message]);
    },
  };
  const streaming: Method = {
    kind: 'streaming',
    handle(call) {
      events.push(`streaming ${call.path} ${[...call.keys()]}`);
      call.onMessage = (message) => {
        events.push(`message ${digest(message)}`);
        if (!call.write([message])) call.pause();
      };
      call.onDrain = () => call.resume();
      call.onEnd = () => {
        events.push('end');
        call.end();
      };
    },
  };
  return new Map<string, Method>([
    ...UNARY.map((name): [string, Method] => [`/inference.GRPCInferenceService/${name}`, unary]),
    ['/grpc.health.v1.Health/Check', unary],
    ...STREAMING.map((name): [string, Method] => [`/${name}`, streaming]),
  ]);
}

function digest(message: Uint8Array): string {
  return `${message.length}:${createHash('sha1').update(message).digest('hex').slice(0, 12)}`;
}

/** @param cut gives the length of the next piece */
function converse(bytes: Buffer, cut: (left: number) => number): Outcome {
  const events: string[] = [];
  const memory = new MemoryConnection(Object.fromEntries(methodsOf(events)));
  memory.push(HELLO);
  for (let at = 0; at < bytes.length; ) {
    const end = at + cut(bytes.length - at);
    // A copy, as of a socket: a view that is kept too long would show.
    memory.push(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  memory.close();
  assert.deepEqual(memory.held, NOTHING_HELD, 'something is left behind');
  assert.equal(memory.connection.streams.size, 0, 'a stream is left behind');
  assert.equal(memory.isClosed, true);
  return { events, ...answersOf(memory.frames) };
}

/** Reads what the server sent; it must be readable. */
function answersOf(frames: readonly Frame[]): Omit<Outcome, 'events'> {
  const decoder = new HpackDecoder(2 ** 20);
  const bodies = new Map<number, string>();
  const answers = new Map<number, string>();
  const resets = new Set<number>();
  let goAway: string | undefined;
  for (const { type, flags, id, payload } of frames) {
    if (type === Type.HEADERS) {
      const head = decoder.decode(payload, 0, payload.length);
      const text = ['grpc-status', 'grpc-message', 'x-why', 'grpc-accept-encoding'].map((name) => head.get(name));
      bodies.set(id, `${bodies.get(id) ?? ''} ${text}`);
    } else if (type === Type.DATA) {
      // In whatever frames: their number depends on the window at the moment when they are made.
      bodies.set(id, `${bodies.get(id) ?? ''}${payload.toString('latin1')}`);
    } else if (type === Type.RST_STREAM) {
      resets.add(errorOf({ type, flags, id, payload }).code);
    } else if (type === Type.GOAWAY) {
      const { code, text } = errorOf({ type, flags, id, payload });
      goAway = `${code} ${text} ${payload.readUInt32BE(0)}`;
    }
    if ((type === Type.HEADERS || type === Type.DATA) && flags & END_STREAM) answers.set(id, bodies.get(id) ?? '');
  }
  return { goAway, answers, resets };
}

/**
 * A matter of time: an answer that leaves later leaves a larger window for longer, and a stream that is open for longer. Then
 * it depends on when the client breaks a rule which rule that is.
 */
const OF_TIME: readonly number[] = [ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.STREAM_CLOSED];

function isOfTime({ goAway, resets }: Outcome): boolean {
  return OF_TIME.some((code) => resets.has(code) || goAway?.startsWith(`${code} `));
}

/** @throws AssertionError, or whatever a fault of the server's throws */
export function trySession(random: Random): void {
  const { bytes, original } = mutated(SESSIONS, random);
  const notices: Notice[] = [];
  const stop = diagnostics.notice.subscribe((notice) => notices.push(notice));
  try {
    const whole = converse(bytes, (left) => left);
    const most = 1 + below(random() < 0.5 ? 30 : 1_500, random);
    const isByByte = bytes.length < 3_000 && random() < 0.2;
    const cut = converse(bytes, isByByte ? () => 1 : (left) => Math.min(left, 1 + below(most, random)));
    assert.deepEqual(notices, [], 'a fault of ours');
    if (original !== undefined) {
      assert.deepEqual(whole.events, converse(original, (left) => left).events, 'other frames mean something else');
    }
    if (isOfTime(whole) || isOfTime(cut)) return;
    assert.deepEqual(cut.events, whole.events, 'the handlers see something else');
    assert.equal(cut.goAway, whole.goAway, 'the connection ends otherwise');
    for (const [id, answer] of cut.answers) {
      if (whole.answers.has(id)) assert.equal(answer, whole.answers.get(id), `stream ${id} is answered otherwise`);
    }
  } finally {
    stop();
  }
}
