import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdTable } from '../../src/http2/id-table.ts';

/** The inverse of the factor that spreads numbers: products of it and small numbers all have the first place as their home. */
const COLLIDING = inverseOf(0x9e37_79b1);

function inverseOf(odd: number): number {
  let inverse = odd;
  for (let bits = 3; bits < 32; bits *= 2) inverse = Math.imul(inverse, 2 - Math.imul(odd, inverse));
  return inverse >>> 0;
}

const numbers = fc.oneof(
  fc.nat(40).map((number) => 2 * number + 1),
  fc.nat(40).map((number) => 2 ** 32 - 1 - number),
  fc.nat(40).map((number) => Math.imul(number, COLLIDING) >>> 0),
);
const changes = fc.array(fc.tuple(fc.constantFrom('set', 'set', 'delete'), numbers), { maxLength: 600 });

test('a table of numbers holds what a Map holds, also where all numbers have the same home', () => {
  fc.assert(
    fc.property(changes, (all) => {
      const table = new IdTable<{ readonly id: number }>();
      const expected = new Map<number, { readonly id: number }>();
      for (const [change, id] of all) {
        if (change === 'set') {
          const item = { id };
          table.set(id, item);
          expected.set(id, item);
        } else {
          expect(table.delete(id)).toBe(expected.delete(id));
        }
        expect([table.size, table.get(id)]).toEqual([expected.size, expected.get(id)]);
      }
      for (const [id, item] of expected) expect(table.get(id)).toBe(item);
      expect(new Set(table.all())).toEqual(new Set(expected.values()));
    }),
    { numRuns: 300 },
  );
});

test('a table that had many items finds the few that are left', () => {
  const table = new IdTable<{ readonly id: number }>();
  for (let id = 1; id < 20_000; id += 2) table.set(id, { id });
  for (let id = 1; id < 19_990; id += 2) table.delete(id);
  expect(table.all().map(({ id }) => id)).toEqual(expect.arrayContaining([19_991, 19_993, 19_995, 19_997, 19_999]));
  expect(table.size).toBe(5);
  expect(table.get(19_999)).toEqual({ id: 19_999 });
  expect(table.get(1)).toBeUndefined();
});

/** Objects of some 600 bytes come and go, sixteen at a time. Prints by how much the old objects grew at the most, in bytes. */
const COME_AND_GO = `
  import v8 from 'node:v8';
  const { IdTable } = await import(process.argv[1]);
  const oldBytes = () => v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space').space_used_size;
  const table = new IdTable();
  globalThis.gc();
  const before = oldBytes();
  let most = before;
  for (let id = 1; id <= 400_000; id++) {
    table.set(id, { id, data: new Array(64).fill(id) });
    table.delete(id - 16);
    if (id % 1_000 === 0) most = Math.max(most, oldBytes());
  }
  console.log(most - before);
`;

test('items that come and go leave nothing for a collection of old objects; a Map leaves tens of megabytes', async () => {
  const module = new URL('../../src/http2/id-table.ts', import.meta.url).href;
  const args = ['--expose-gc', '--input-type=module', '-e', COME_AND_GO, module];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(Number(stdout)).toBeLessThan(2 * 2 ** 20);
});
