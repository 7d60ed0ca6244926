import { expect, test } from 'vitest';
import { MODEL_CONFIG } from '../../../../src/gateway/repository/config/model-config.ts';
import { describeBatching } from '../../../../src/gateway/repository/signature/batching-description.ts';
import type { ModelSignature } from '../../../../src/gateway/repository/signature/model-signature.ts';
import type { RowAxis } from '../../../../src/gateway/repository/signature/row-axis.ts';

function signature(axes: Readonly<Record<string, RowAxis | undefined>>): ModelSignature {
  const inputs = Object.entries(axes).map(([name, rowAxis]) => ({
    name,
    datatype: 'FP32' as const,
    shape: [-1, -1],
    ...(rowAxis !== undefined && { rowAxis }),
  }));
  return { inputs, outputs: [], batching: { kind: 'on', maxRows: 8 } };
}

test.each([
  [{ x: undefined }, 'on (axis 0, max 8 rows, delay 0 us)'],
  [{ x: 1, y: 1 }, 'on (axis 1, max 8 rows, delay 0 us)'],
  [{ x: 2, y: 1, z: 1 }, "on (axis 1, axis 2 of 'x', max 8 rows, delay 0 us)"],
  [
    { input: undefined, state: 1, stateN: 1, sr: 'shared' as const },
    "on (axis 0, axis 1 of 'state', 'stateN', one 'sr' for all rows, max 8 rows, delay 0 us)",
  ],
])('batching over the axes %j is described as %s', (axes, text) => {
  expect(describeBatching(signature(axes), MODEL_CONFIG.parse({}))).toBe(text);
});

test('the line of a model that does not batch says why', () => {
  const off = { ...signature({}), batching: { kind: 'off' as const, reason: 'max_batch_size is 0' } };
  expect(describeBatching(off, MODEL_CONFIG.parse({}))).toBe('off: max_batch_size is 0');
});
