/** Sessions of clients, and their mutations: frame by frame, so that each mistake lies deep in valid data. */

import { FrameType } from '../../src/http2/frame.ts';
import {
  END_HEADERS,
  END_STREAM,
  type Frame,
  frame,
  grpcMessage,
  literal,
  PADDED,
  setting,
  Type,
  uint32,
} from '../http2/raw-frames.ts';
import { below, pick, type Random, randomBytes } from '../support/random.ts';

/** A frame as it is to be sent; one that lies about its length is bytes. */
export type Sent = Frame | Buffer;

/** Changes a session in place. */
export type Mutation = (session: Sent[], random: Random, others: readonly (readonly Frame[])[]) => void;

const TYPES = Object.values(FrameType);
const NUMBERS = [0, 1, 2, 3, 5, 127, 16_383, 16_384, 16_385, 65_535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

export function bytesOf(sent: Sent): Buffer {
  return Buffer.isBuffer(sent) ? sent : frame(sent.type, sent.flags, sent.id, sent.payload);
}

/** The number of a stream that the session has, or might have. */
function anyId(session: readonly Sent[], random: Random): number {
  const some = pick(session, random);
  const id = Buffer.isBuffer(some) ? 1 : some.id;
  return random() < 0.7 ? id : pick([0, 1, 2, id + 1, id + 2, id + 100, 2 ** 31 - 1], random);
}

/** A literal, a reference, a change of the table's size, or noise. */
function anyField(random: Random): Buffer {
  const name = pick(
    ['x-a', 'x-b-bin', 'grpc-timeout', 'grpc-encoding', ':path', 'te', 'content-length', 'X-A'],
    random,
  );
  const value = pick(['', '1S', 'gzip', '/a', '0', 'AAE=,AA', 'x'.repeat(below(300, random))], random);
  const plain = literal(name, value);
  switch (below(6, random)) {
    case 0:
      return plain;
    case 1:
      // The same with an entry in the table, or never in one (RFC 7541, section 6.2.1 and 6.2.3).
      return Buffer.concat([Buffer.from([pick([0x40, 0x10], random)]), plain.subarray(1)]);
    case 2:
      return Buffer.from([0x80 | (1 + below(100, random))]);
    case 3:
      return Buffer.from([0x20 | below(32, random), ...(random() < 0.5 ? [below(128, random)] : [])]);
    case 4:
      return Buffer.from([0xff, ...Array.from({ length: below(6, random) }, () => below(256, random))]);
    default:
      return randomBytes(1 + below(20, random), random);
  }
}

function anyFrame(session: readonly Sent[], random: Random): Frame {
  const id = anyId(session, random);
  const number = uint32(pick(NUMBERS, random));
  const made = (type: number, flags: number, on: number, payload: Buffer): Frame => ({ type, flags, id: on, payload });
  switch (below(12, random)) {
    case 0:
      return made(
        Type.PING,
        below(2, random),
        pick([0, 0, id], random),
        randomBytes(pick([8, 8, 7, 0], random), random),
      );
    case 1:
      return made(Type.SETTINGS, 0, 0, setting(below(8, random), pick(NUMBERS, random)));
    case 2:
      return made(Type.SETTINGS, 1, 0, Buffer.alloc(0));
    case 3:
      return made(Type.WINDOW_UPDATE, 0, id, number);
    case 4:
      return made(Type.RST_STREAM, 0, id, number);
    case 5:
      return made(Type.PRIORITY, 0, id, Buffer.concat([number, Buffer.from([below(256, random)])]));
    case 6:
      return made(Type.GOAWAY, 0, pick([0, id], random), Buffer.concat([number, number]));
    case 7:
      return made(
        Type.DATA,
        below(2, random),
        id,
        grpcMessage(randomBytes(below(40, random), random), below(3, random)),
      );
    case 8:
      return made(Type.DATA, PADDED | below(2, random), id, randomBytes(below(20, random), random));
    case 9:
      return made(Type.CONTINUATION, pick([0, END_HEADERS], random), id, anyField(random));
    case 10:
      return made(
        Type.HEADERS,
        pick([END_HEADERS, END_HEADERS | END_STREAM, 0, END_HEADERS | PADDED, END_HEADERS | 0x20], random),
        id,
        Buffer.concat(Array.from({ length: below(5, random) }, () => anyField(random))),
      );
    default:
      return made(below(256, random), below(256, random), id, randomBytes(below(40, random), random));
  }
}

/** Calls `change` with a frame of the session that is not bytes yet, and puts what it gives in its place. */
function change(session: Sent[], random: Random, changed: (one: Frame) => readonly Sent[]): void {
  const at = below(session.length, random);
  const one = session[at];
  if (one !== undefined && !Buffer.isBuffer(one)) session.splice(at, 1, ...changed(one));
}

/** What keeps its meaning for a server: the same bytes in other frames. */
const REFRAMINGS: readonly Mutation[] = [
  function split(session, random) {
    change(session, random, (one) => {
      const at = below(one.payload.length + 1, random);
      const [head, tail] = [one.payload.subarray(0, at), one.payload.subarray(at)];
      if (one.type === Type.DATA && (one.flags & PADDED) === 0) {
        return [
          { ...one, flags: 0, payload: head },
          { ...one, payload: tail },
        ];
      }
      if (one.type !== Type.HEADERS || (one.flags & ~(END_STREAM | END_HEADERS)) !== 0) return [one];
      return [
        { ...one, flags: one.flags & END_STREAM, payload: head },
        { ...one, type: Type.CONTINUATION, flags: one.flags & END_HEADERS, payload: tail },
      ];
    });
  },
  function pad(session, random) {
    change(session, random, (one) => {
      if ((one.type !== Type.DATA && one.type !== Type.HEADERS) || one.flags & PADDED) return [one];
      const padding = below(256, random);
      const payload = Buffer.concat([Buffer.from([padding]), one.payload, Buffer.alloc(padding)]);
      return [payload.length > 16_384 ? one : { ...one, flags: one.flags | PADDED, payload }];
    });
  },
];

const MUTATIONS: readonly Mutation[] = [
  ...REFRAMINGS,
  function flip(session, random) {
    change(session, random, (one) => {
      const bytes = bytesOf(one);
      for (let count = 1 + below(3, random); count > 0; count--) {
        bytes[below(bytes.length, random)] =
          random() < 0.5 ? below(256, random) : pick([0, 1, 0x7f, 0x80, 0xff], random);
      }
      return [bytes];
    });
  },
  function flipPayload(session, random) {
    change(session, random, (one) => {
      const payload = Buffer.from(one.payload);
      if (payload.length > 0) payload[below(Math.min(payload.length, 60), random)] = below(256, random);
      return [{ ...one, payload }];
    });
  },
  function otherHeader(session, random) {
    change(session, random, (one) => [
      {
        ...one,
        ...pick(
          [
            { type: pick(TYPES, random) },
            { flags: one.flags ^ (1 << below(8, random)) },
            { id: anyId(session, random) },
          ],
          random,
        ),
      },
    ]);
  },
  function lieAboutLength(session, random) {
    change(session, random, (one) => {
      const bytes = bytesOf(one);
      const length = pick([0, 1, one.payload.length - 1, one.payload.length + 1, 16_384, 16_385, 2 ** 24 - 1], random);
      bytes.writeUIntBE(Math.max(0, length), 0, 3);
      return [bytes];
    });
  },
  function drop(session, random) {
    if (session.length > 1) session.splice(below(session.length, random), 1);
  },
  function repeat(session, random) {
    const at = below(session.length, random);
    const one = session[at];
    if (one !== undefined) session.splice(at, 0, ...Array(1 + below(4, random)).fill(one));
  },
  function swap(session, random) {
    const at = below(session.length - 1, random);
    const [one, other] = session.slice(at, at + 2);
    if (one !== undefined && other !== undefined) session.splice(at, 2, other, one);
  },
  function insert(session, random) {
    session.splice(below(session.length + 1, random), 0, anyFrame(session, random));
  },
  function changeBlock(session, random) {
    change(session, random, (one) => {
      if (one.type !== Type.HEADERS) return [one];
      const at = random() < 0.5 ? one.payload.length : below(one.payload.length + 1, random);
      const payload = Buffer.concat([one.payload.subarray(0, at), anyField(random), one.payload.subarray(at)]);
      return [{ ...one, payload }];
    });
  },
  function splice(session, random, others) {
    const other = pick(others, random);
    const from = below(other.length, random);
    session.splice(below(session.length + 1, random), 0, ...other.slice(from, from + 1 + below(6, random)));
  },
];

export interface Mutated {
  readonly bytes: Buffer;
  /** What has to mean the same, where the session was only put into other frames. */
  readonly original: Buffer | undefined;
}

/** A session that was changed: a little, or much. */
export function mutated(sessions: readonly (readonly Frame[])[], random: Random): Mutated {
  const original: readonly Sent[] = pick(sessions, random);
  const session = [...original];
  const keepsItsMeaning = random() < 0.15;
  const mutations = keepsItsMeaning ? REFRAMINGS : MUTATIONS;
  for (let count = 1 + below(6, random); count > 0; count--) pick(mutations, random)(session, random, sessions);
  const bytes = Buffer.concat(session.map(bytesOf));
  if (keepsItsMeaning) return { bytes, original: Buffer.concat(original.map(bytesOf)) };
  const isCut = random() < 0.1;
  return { bytes: isCut ? bytes.subarray(0, below(bytes.length + 1, random)) : bytes, original: undefined };
}
