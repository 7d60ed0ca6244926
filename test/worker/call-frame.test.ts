import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CALL_FRAME, type CallFrame, CallFrameReader, encodeCallFrame } from '../../src/worker/call-frame.ts';

const MAX_BYTES = 1_000;

const frames = fc.array(
  fc.record({
    kind: fc.constantFrom(...Object.values(CALL_FRAME)),
    id: fc.nat(2 ** 32 - 1),
    run: fc.nat(2 ** 32 - 1),
    payload: fc.uint8Array({ maxLength: 200 }).map((bytes) => new Uint8Array(bytes)),
  }),
  { maxLength: 8 },
);

/** The bytes of frames, cut into pieces of `size`. */
function piecesOf(all: readonly CallFrame[], size: number): Uint8Array[] {
  const bytes = Buffer.concat(all.flatMap((frame) => encodeCallFrame(frame, [frame.payload])));
  return Array.from({ length: Math.ceil(bytes.byteLength / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  );
}

describe('CALLFRAME-1: frames of calls', () => {
  test('arrive as they were sent, in whatever pieces', () => {
    fc.assert(
      fc.property(frames, fc.integer({ min: 1, max: 300 }), (all, size) => {
        const reader = new CallFrameReader(MAX_BYTES);
        expect(piecesOf(all, size).flatMap((piece) => reader.push(piece))).toEqual(all);
      }),
    );
  });

  test('in random bytes are found, or end in an error, within the most bytes of a payload', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (pieces) => {
        const reader = new CallFrameReader(MAX_BYTES);
        try {
          for (const { payload } of pieces.flatMap((piece) => reader.push(piece))) {
            expect(payload.byteLength).toBeLessThanOrEqual(MAX_BYTES);
          }
        } catch (error) {
          expect(String(error)).toMatch(/a call frame of/);
        }
      }),
    );
  });

  test('with an unknown kind, or too long, are refused before memory is taken for them', () => {
    const header = (kind: number, length: number) => new Uint8Array(new Uint32Array([kind, 1, 1, length]).buffer);
    expect(() => new CallFrameReader(MAX_BYTES).push(header(99, 0))).toThrow('a call frame of the kind 99');
    expect(() => new CallFrameReader(MAX_BYTES).push(header(CALL_FRAME.call, 2 ** 32 - 1))).toThrow(
      'a call frame of 4294967295 bytes, expected at most 1000',
    );
  });
});
