import fs from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { OpenFile } from '../../src/wire/tensor-bytes.ts';
import { LandedInputs } from '../../src/worker/landed-inputs.ts';
import { openUnnamed } from '../../src/worker/unnamed-file.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** An open file without a name that holds `text`. */
function landingFile(text: string): OpenFile & { close(): void } {
  const descriptor = openUnnamed(temporaryDirectory());
  if (descriptor === undefined) throw new Error('no file without a name');
  fs.writeSync(descriptor, text);
  const close = (): void => fs.closeSync(descriptor);
  return { pid: process.pid, descriptor, inode: fs.fstatSync(descriptor).ino, close };
}

function landedInputs(): LandedInputs {
  const inputs = new LandedInputs();
  onTestFinished(() => inputs.close());
  return inputs;
}

describe('landed inputs', () => {
  test('are read where their place says, as often as asked', () => {
    const file = landingFile('0123456789');
    onTestFinished(() => file.close());
    const inputs = landedInputs();
    for (const offset of [3, 0, 6]) {
      const target = Buffer.alloc(4);
      inputs.readSync(file, offset, target);
      expect(target.toString()).toBe('0123456789'.slice(offset, offset + 4));
    }
  });

  test('beyond the end of their file are an error, not zeros', () => {
    const file = landingFile('0123');
    onTestFinished(() => file.close());
    expect(() => landedInputs().readSync(file, 2, Buffer.alloc(4))).toThrow('a landing file ends at 4, expected 6');
  });

  test('are not read from another file that has their descriptor now', () => {
    const gone = landingFile('gone');
    gone.close();
    const other = landingFile('other');
    onTestFinished(() => other.close());
    expect(other.descriptor).toBe(gone.descriptor);
    // A file system may give the inode to the next file; then there is nothing to distinguish.
    const { pid, descriptor, inode } = other;
    expect(() => landedInputs().readSync({ pid, descriptor, inode: inode + 1 }, 0, Buffer.alloc(4))).toThrow(
      `expected landing file ${inode + 1}`,
    );
  });
});
