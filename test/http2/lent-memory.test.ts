/** Answers whose memory is used again once they are written: every byte leaves as it was meant, whatever holds the answer back. */

import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Method, UnaryCall } from '../../src/gateway/accept/call.ts';
import type { LentMemory } from '../../src/http2/lent-memory.ts';
import { MemoryConnection } from './memory-connection.ts';
import { END_STREAM, frame, HELLO, Type, uint32, unaryRequest } from './raw-frames.ts';

const KIB = 1024;
/** What a window of HTTP/2 begins with. */
const WINDOW_BYTES = 65_535;

/** Memory whose owner writes over it as soon as it may. */
class Overwritten implements LentMemory {
  readonly bytes: Buffer;
  times = 0;

  constructor(byteLength: number, value: number) {
    this.bytes = Buffer.alloc(byteLength, value);
  }

  giveBack(): void {
    this.times++;
    this.bytes.fill(0xff);
  }
}

/** A connection with open calls on these streams. */
function connected(ids: readonly number[] = [1]): { readonly memory: MemoryConnection; readonly calls: UnaryCall[] } {
  const calls: UnaryCall[] = [];
  const held: Method = { kind: 'unary', handle: (call) => void calls.push(call) };
  const memory = new MemoryConnection({ '/t/Held': held });
  memory.push(Buffer.concat([HELLO, ...ids.map((id) => unaryRequest(id, '/t/Held'))]));
  return { memory, calls };
}

/** The messages that have been written, by stream, without their prefixes. */
function bodies(memory: MemoryConnection): Map<number, Buffer> {
  const parts = new Map<number, Buffer[]>();
  for (const { type, id, payload } of memory.frames) {
    if (type === Type.DATA) parts.set(id, [...(parts.get(id) ?? []), payload]);
  }
  return new Map([...parts].map(([id, each]) => [id, Buffer.concat(each).subarray(5)]));
}

function open(id: number, bytes: number): Buffer {
  return frame(Type.WINDOW_UPDATE, 0, id, uint32(bytes));
}

async function answer(calls: readonly UnaryCall[], index: number, lent: Overwritten): Promise<void> {
  calls[index]?.reply([Buffer.from('head'), lent.bytes], undefined, lent);
  await turn();
}

test('memory of a small answer is given back at once, since it was copied', async () => {
  const { memory, calls } = connected();
  memory.socket.stuck = true;
  const lent = new Overwritten(100, 7);
  calls[0]?.reply([lent.bytes], undefined, lent);
  expect(lent.times).toBe(1);
  await turn();
  expect(bodies(memory).get(1)).toEqual(Buffer.alloc(100, 7));
});

test('memory of an answer that the socket has not taken whole is given back when it has', async () => {
  const { memory, calls } = connected();
  memory.socket.stuck = true;
  const lent = new Overwritten(50 * KIB, 7);
  await answer(calls, 0, lent);
  expect(lent.times, 'the socket may still read it').toBe(0);
  memory.socket.unstick();
  await turn();
  memory.passSecond();
  expect(lent.times).toBe(1);
  expect(bodies(memory).get(1)?.subarray(4)).toEqual(Buffer.alloc(50 * KIB, 7));
});

test('memory of an answer that flow control holds back is given back with its last byte', async () => {
  const { memory, calls } = connected();
  const lent = new Overwritten(100 * KIB, 7);
  await answer(calls, 0, lent);
  expect(lent.times).toBe(0);
  memory.push(Buffer.concat([open(0, 64 * KIB), open(1, 64 * KIB)]));
  await turn();
  expect(lent.times).toBe(1);
  expect(bodies(memory).get(1)?.subarray(4)).toEqual(Buffer.alloc(100 * KIB, 7));
});

test('memory of an answer whose call is reset on its way is never given back', async () => {
  const { memory, calls } = connected();
  const lent = new Overwritten(100 * KIB, 7);
  await answer(calls, 0, lent);
  memory.push(frame(Type.RST_STREAM, 0, 1, uint32(8)));
  memory.passSecond();
  await turn();
  expect(lent.times).toBe(0);
  expect(
    bodies(memory)
      .get(1)
      ?.every((byte, index) => index < 4 || byte === 7),
  ).toBe(true);
});

test('answers of any size leave as they were, in any order of windows, full sockets and resets', async () => {
  const act = fc.oneof(
    fc.record({
      kind: fc.constant('answer' as const),
      of: fc.nat(20),
      bytes: fc.oneof(fc.nat(10 * KIB), fc.nat(200 * KIB)),
    }),
    fc.record({
      kind: fc.constant('open' as const),
      of: fc.nat(20),
      bytes: fc.integer({ min: 4 * KIB, max: 300 * KIB }),
    }),
    fc.record({ kind: fc.constant('reset' as const), of: fc.nat(20) }),
    fc.record({ kind: fc.constantFrom('stick' as const, 'unstick' as const, 'second' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
      const ids = Array.from({ length: 8 }, (_, index) => 2 * index + 1);
      const { memory, calls } = connected(ids);
      const answered = new Map<number, Overwritten>();
      const reset = new Set<number>();
      for (const each of acts) {
        const index = 'of' in each ? each.of % ids.length : 0;
        const id = ids[index] ?? 0;
        if (each.kind === 'answer' && !answered.has(id) && !reset.has(id)) {
          const lent = new Overwritten(each.bytes, id);
          answered.set(id, lent);
          await answer(calls, index, lent);
        } else if (each.kind === 'open' && !reset.has(id)) {
          memory.push(Buffer.concat([open(0, each.bytes), open(id, each.bytes)]));
        } else if (each.kind === 'reset' && !reset.has(id)) {
          reset.add(id);
          memory.push(frame(Type.RST_STREAM, 0, id, uint32(8)));
        } else if (each.kind === 'stick') memory.socket.stuck = true;
        else if (each.kind === 'unstick') memory.socket.unstick();
        else if (each.kind === 'second') memory.passSecond();
        await turn();
      }
      memory.socket.unstick();
      await turn();
      memory.push(
        Buffer.concat([
          open(0, 8 * WINDOW_BYTES * 5),
          ...ids.filter((id) => !reset.has(id)).map((id) => open(id, 5 * WINDOW_BYTES)),
        ]),
      );
      await turn();
      memory.passSecond();
      const sent = bodies(memory);
      for (const [id, lent] of answered) {
        expect(lent.times).toBeLessThanOrEqual(1);
        const body = sent.get(id)?.subarray(4) ?? Buffer.alloc(0);
        expect(body.every((byte) => byte === id)).toBe(true);
        if (reset.has(id)) continue;
        expect(body.byteLength).toBe(lent.bytes.byteLength);
        expect(lent.times, 'whole answers give their memory back').toBe(1);
        expect(memory.frames.some((each) => each.id === id && (each.flags & END_STREAM) !== 0)).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});
