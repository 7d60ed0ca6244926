import { expect, test } from 'vitest';
import { formatBytes } from '../../../../src/gateway/ops/diagnosis/finding.ts';

test.each([
  [0, '0 bytes'],
  [1023, '1023 bytes'],
  [1024, '1 KiB'],
  [64 * 2 ** 20, '64 MiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
  [2 ** 52, '4096 TiB'],
])('%i bytes are written as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
