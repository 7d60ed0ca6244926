import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { InputArena } from '../../src/worker/input-arena.ts';
import { Mailbox } from '../../src/worker/mailbox.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function arena(): { readonly size: number; read(byteLength: number): Buffer } {
  const mailbox = Mailbox.create(temporaryDirectory());
  onTestFinished(() => mailbox.close());
  const made = new InputArena();
  let reads = 0;
  return {
    get size() {
      return made.memory.byteLength;
    },
    read: (byteLength) => {
      reads++;
      mailbox.writeSync([Buffer.alloc(byteLength, reads)], 0);
      made.read(mailbox, [{ name: 'x', datatype: 'UINT8', shape: [byteLength], offset: 0, byteLength }]);
      const bytes = Buffer.from(made.memory, 0, byteLength);
      expect(bytes.every((byte) => byte === reads % 256)).toBe(true);
      return bytes;
    },
  };
}

test('memory grows with a batch, and stays for those that are somewhat smaller', () => {
  const made = arena();
  made.read(4 * MIB);
  expect(made.size).toBe(5 * MIB);
  for (let time = 0; time < 200; time++) made.read(time % 10 === 0 ? 3 * MIB : MIB);
  expect(made.size).toBe(5 * MIB);
});

test('memory of a single large batch goes after 64 batches of less than half of it', () => {
  const made = arena();
  made.read(16 * MIB);
  for (let time = 0; time < 2 * 64; time++) made.read(2 * MIB);
  expect(made.size).toBe(2.5 * MIB);
});

test('memory goes at once where a batch needs less than a sixteenth of it', () => {
  const made = arena();
  const large = made.read(16 * MIB);
  made.read(KIB);
  expect(made.size).toBe(64 * KIB);
  expect(large.byteLength, 'it is freed, not left to be collected').toBe(0);
});

test('batches of any sizes are read whole, into memory of at most sixteen times the last of them', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(KIB), fc.nat(MIB)), { maxLength: 150 }), (sizes) => {
      const made = arena();
      for (const size of sizes) {
        made.read(size);
        expect(made.size).toBeGreaterThanOrEqual(size);
        expect(made.size).toBeLessThanOrEqual(Math.max(64 * KIB, 16 * size));
      }
    }),
    { numRuns: 20 },
  );
});
