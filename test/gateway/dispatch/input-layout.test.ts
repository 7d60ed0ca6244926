import { describe, expect, onTestFinished, test } from 'vitest';
import { gather } from '../../../src/gateway/batch/batch.ts';
import { layOut, retainLanded } from '../../../src/gateway/dispatch/input-layout.ts';
import { Landing } from '../../../src/gateway/landing/landing.ts';
import { MAILBOX_DIRECTORY } from '../../../src/mailbox-directory.ts';
import type { TensorBytes } from '../../../src/wire/tensor-bytes.ts';
import { LandedInputs } from '../../../src/worker/landed-inputs.ts';

const SPECS = [
  { name: 'a', datatype: 'UINT8', shape: [-1, 100] },
  { name: 'b', datatype: 'UINT8', shape: [-1, 30] },
] as const;

function opened(): Landing {
  const landing = Landing.open(MAILBOX_DIRECTORY);
  if (landing === undefined) throw new Error('no file without a name');
  onTestFinished(() => landing.close());
  return landing;
}

/** A request of one row, whose inputs are filled with these values, and have landed where they are negative. */
function requestOf(landing: Landing, a: number, b: number) {
  const inputs = [a, b].map((value, index): TensorBytes => {
    const data = Buffer.alloc(SPECS[index]?.shape[1] ?? 0, Math.abs(value));
    const landed = value < 0 ? landing.tryLand(data.byteLength) : undefined;
    landed?.append(data, 0, data.byteLength);
    return landed ?? data;
  });
  const shapes = SPECS.map(({ shape }) => [1, shape[1]]);
  return { tensors: { rows: 1, size: { elements: 130, length: 1 }, bytes: 130, bucket: '', inputs, shapes } };
}

describe('the inputs of a batch', () => {
  test.each([
    {
      rows: [
        [1, 2],
        [3, 4],
      ],
    },
    {
      rows: [
        [-1, -2],
        [-3, -4],
      ],
    },
    {
      rows: [
        [-1, 2],
        [3, -4],
        [5, 6],
      ],
    },
    {
      rows: [
        [1, -2],
        [-3, 4],
        [-5, 6],
        [7, 8],
      ],
    },
  ])('$rows, whose negative rows have landed, are put together by a runner from the pieces', ({ rows }) => {
    const landing = opened();
    const requests = rows.map(([a = 0, b = 0]) => requestOf(landing, a, b));
    const batch = { requests, rows: rows.length };
    const held = retainLanded(batch);
    const gathered = gather(batch, SPECS, 'rows');
    const { chunks, end, pieces, lent } = layOut(gathered);
    const mailbox = Buffer.concat(chunks);
    expect(mailbox.byteLength).toBe(end);
    const arena = Buffer.alloc(gathered.end);
    const runner = new LandedInputs();
    onTestFinished(() => runner.close());
    for (const { file, from, at, byteLength } of pieces ?? [{ file: undefined, from: 0, at: 0, byteLength: end }]) {
      if (file === undefined) mailbox.copy(arena, at, from, from + byteLength);
      else runner.readSync(file, from, arena.subarray(at, at + byteLength));
    }
    for (const [index, { offset, byteLength }] of gathered.places.entries()) {
      const width = SPECS[index]?.shape[1] ?? 0;
      const wanted = Buffer.concat(rows.map((row) => Buffer.alloc(width, Math.abs(row[index] ?? 0))));
      expect(arena.subarray(offset, offset + byteLength).equals(wanted)).toBe(true);
    }
    for (const bytes of lent) bytes.giveBack();
    // The run holds them, and so do their requests.
    for (const bytes of [...held, ...held]) bytes.release();
    expect(landing.size).toBe(0);
  });
});
