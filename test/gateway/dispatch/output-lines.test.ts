import { expect, test } from 'vitest';
import { OutputLines } from '../../../src/gateway/dispatch/output-lines.ts';

function linesOf(...pieces: (string | Buffer)[]): string[] {
  const lines: string[] = [];
  const output = new OutputLines((line) => lines.push(line));
  for (const piece of pieces) output.write(Buffer.from(piece));
  output.end();
  return lines;
}

test('output in pieces becomes lines, and the last needs no newline', () => {
  expect(linesOf('one\ntw', 'o\n', '\nthree')).toEqual(['one', 'two', '', 'three']);
  expect(linesOf()).toEqual([]);
});

test('a character that is cut between two pieces stays whole', () => {
  const bytes = Buffer.from('größe\n');
  expect(linesOf(bytes.subarray(0, 3), bytes.subarray(3))).toEqual(['größe']);
});

test('output that never ends a line is kept only to its limit, and the next line is whole', () => {
  const piece = 'x'.repeat(65_536);
  const lines: string[] = [];
  const output = new OutputLines((line) => lines.push(line));
  const before = process.memoryUsage().heapUsed;
  for (let count = 0; count < 4_096; count++) output.write(Buffer.from(piece));
  expect(lines).toEqual([]);
  // 256 MiB were written.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(128 * 2 ** 20);
  output.write(Buffer.from('\nnext\n'));
  expect(lines).toEqual([`${'x'.repeat(8_192)}…`, 'next']);
});
