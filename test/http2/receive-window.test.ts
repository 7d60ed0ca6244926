import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReceiveWindow } from '../../src/http2/receive-window.ts';

test('a peer that sends within its window is never refused, and one byte more always is', () => {
  const steps = fc.array(fc.record({ share: fc.double({ min: 0, max: 1, noNaN: true }), wanted: fc.nat(100_000) }));
  fc.assert(
    fc.property(steps, (all) => {
      const window = new ReceiveWindow(65_535);
      let allowed = 65_535;
      for (const { share, wanted } of all) {
        const bytes = Math.floor(share * allowed);
        expect(window.receive(bytes)).toBe(true);
        allowed += window.reopen(wanted) - bytes;
      }
      expect(window.receive(allowed + 1)).toBe(false);
    }),
  );
});

test('it is opened when half of it is used up', () => {
  const window = new ReceiveWindow(1_000);
  window.receive(499);
  expect(window.reopen(1_000)).toBe(0);
  window.receive(1);
  expect(window.reopen(1_000)).toBe(500);
  expect(window.reopen(1_000)).toBe(0);
  // A long message has begun.
  expect(window.reopen(10_000)).toBe(9_000);
});
