import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { formatTable } from '../../src/cli/table.ts';

test('columns are as wide as their widest cell, and no line ends in blanks', () => {
  const table = formatTable(
    ['image', 'label'],
    [
      ['a.png', 'cat'],
      ['longer.png', ''],
    ],
  );
  expect(stripVTControlCharacters(table)).toBe('image       label\na.png       cat\nlonger.png\n');
});

test('what a server names cannot move the cursor', () => {
  expect(formatTable(['a'], [['x\u001b[2J\r\ny']])).toContain('x [2J y\n');
});
