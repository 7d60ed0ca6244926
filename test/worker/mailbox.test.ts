import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { byteLength, Mailbox } from '../../src/worker/mailbox.ts';
import { readMailbox } from '../support/read-mailbox.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const MIB = 1024 * 1024;

afterEach(() => {
  vi.restoreAllMocks();
});

function mailbox(directory = temporaryDirectory()): Mailbox {
  const box = Mailbox.create(directory);
  onTestFinished(() => {
    try {
      box.close();
    } catch {
      // the test closed it
    }
  });
  return box;
}

/** Bytes that differ from place to place. */
function pattern(length: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + seed, 2_654_435_761);
  return new Uint8Array(words.buffer, 0, length);
}

describe('written tensors are read back', () => {
  test.each([
    { name: 'nothing', sizes: [] },
    { name: 'empty pieces', sizes: [0, 0] },
    { name: 'a few bytes', sizes: [1, 0, 7, 64] },
    { name: 'as much as is written at once', sizes: [256 * 1024] },
    { name: 'a byte more', sizes: [256 * 1024, 1] },
    { name: 'megabytes', sizes: [3 * MIB, 5, 2 * MIB + 1] },
    { name: 'more pieces than a vectored write takes', sizes: Array(5_000).fill(13) },
    { name: 'more large pieces than that', sizes: Array(2_500).fill(1_000) },
    {
      name: 'thousands of empty pieces before one that is not',
      sizes: [...Array(3_000).fill(0), 5, ...Array(3_000).fill(0)],
    },
  ])('$name', async ({ sizes }) => {
    const box = mailbox();
    const chunks = sizes.map((size, index) => pattern(size, index));
    await box.write(chunks, 128);
    const total = byteLength(chunks);
    const target = new Uint8Array(total);
    await box.read(target, 128);
    expect(Buffer.compare(target, Buffer.concat(chunks))).toBe(0);
    target.fill(0);
    box.readSync(target, 128);
    expect(Buffer.compare(target, Buffer.concat(chunks))).toBe(0);
  });

  test('in any sizes, at any place, by either side', async () => {
    const box = mailbox();
    const other = Mailbox.open(box.path);
    onTestFinished(() => other.close());
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.nat(100), fc.integer({ min: 100_000, max: 200_000 })), { maxLength: 6 }),
        fc.nat(1_000_000),
        fc.boolean(),
        async (sizes, offset, sync) => {
          const chunks = sizes.map((size, index) => pattern(size, index + offset));
          if (sync) other.writeSync(chunks, offset);
          else await other.write(chunks, offset);
          expect(Buffer.compare(await readMailbox(box, offset, byteLength(chunks)), Buffer.concat(chunks))).toBe(0);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('a write that the system cuts short goes on where it was cut', () => {
  const chunks = [pattern(3), pattern(0), pattern(300_000, 2), pattern(11, 3)];
  const whole = Buffer.concat(chunks);

  /** At most so many bytes of the first piece that has any. */
  function cut(buffers: readonly NodeJS.ArrayBufferView[], atMost: number): NodeJS.ArrayBufferView {
    const first = buffers.find(({ byteLength: length }) => length > 0) ?? new Uint8Array(0);
    return new Uint8Array(first.buffer, first.byteOffset, Math.min(atMost, first.byteLength));
  }

  test('at once', async () => {
    const box = mailbox();
    vi.spyOn(fs, 'writevSync').mockImplementation((file, buffers, at) => {
      const part = cut(buffers, 70_001);
      return fs.writeSync(file, part, 0, part.byteLength, at);
    });
    box.writeSync(chunks, 5);
    expect(Buffer.compare(await readMailbox(box, 5, whole.length), whole)).toBe(0);
  });

  test('behind the scenes', async () => {
    const box = mailbox();
    vi.spyOn(fs, 'writev').mockImplementation(((
      file: number,
      buffers: readonly NodeJS.ArrayBufferView[],
      at: number,
      done: (error: NodeJS.ErrnoException | null, bytes: number) => void,
    ) => {
      const part = cut(buffers, 70_001);
      fs.write(file, part, 0, part.byteLength, at, done);
    }) as typeof fs.writev);
    await box.write(chunks, 5);
    expect(Buffer.compare(await readMailbox(box, 5, whole.length), whole)).toBe(0);
  });
});

describe('bytes that are not there', () => {
  test.each([100, 300 * 1024])('are an error, and never made up: %d of them', async (length) => {
    const box = mailbox();
    await box.write([pattern(10)], 0);
    await expect(readMailbox(box, 0, length)).rejects.toThrow(`mailbox ends at 10, expected ${length} bytes`);
  });
});

describe('the file', () => {
  const inProc = new RegExp(`^/proc/${process.pid}/fd/\\d+$`);

  test('is readable by its user only', () => {
    expect(fs.statSync(mailbox().path).mode & 0o777).toBe(0o600);
  });

  test('never has a name, and both sides use it', async () => {
    const directory = temporaryDirectory();
    const watched: string[] = [];
    const create = vi.spyOn(fs, 'openSync').mockImplementation((...parameters) => {
      create.mockRestore();
      const file = fs.openSync(...parameters);
      watched.push(...fs.readdirSync(directory));
      return file;
    });
    const box = mailbox(directory);
    expect(box.path).toMatch(inProc);
    const other = Mailbox.open(box.path);
    onTestFinished(() => other.close());
    expect([...watched, ...fs.readdirSync(directory)]).toEqual([]);
    await box.write([pattern(50)], 0);
    expect(Buffer.compare(await readMailbox(other, 0, 50), pattern(50))).toBe(0);
  });

  test('is opened by a process of its own', () => {
    const box = mailbox();
    box.writeSync([Buffer.from('tensors')], 0);
    const script = "process.stdout.write(require('node:fs').readFileSync(process.argv[1]))";
    expect(execFileSync(process.execPath, ['-e', script, box.path], { encoding: 'utf8' })).toBe('tensors');
  });

  test('loses its name at once where the file system has no files without one', () => {
    const directory = temporaryDirectory();
    const real = fs.openSync;
    vi.spyOn(fs, 'openSync').mockImplementation((file, flags, mode) => {
      if (typeof flags === 'number') throw Object.assign(new Error('EOPNOTSUPP'), { code: 'EOPNOTSUPP' });
      return real(file, flags, mode);
    });
    const box = mailbox(directory);
    expect(box.path).toMatch(inProc);
    expect(fs.readdirSync(directory)).toEqual([]);
  });

  describe('in a process that its children do not see in /proc', () => {
    beforeEach(() => {
      vi.spyOn(fs, 'readlinkSync').mockReturnValue('1');
    });

    test('has a name until the other side has opened it', async () => {
      const directory = temporaryDirectory();
      const box = mailbox(directory);
      expect(fs.readdirSync(directory)).toEqual([path.basename(box.path)]);
      const other = Mailbox.open(box.path);
      onTestFinished(() => other.close());
      expect(fs.readdirSync(directory)).toEqual([]);
      await box.write([pattern(50)], 0);
      expect(Buffer.compare(await readMailbox(other, 0, 50), pattern(50))).toBe(0);
    });

    test('that was never opened has no name after close', () => {
      const directory = temporaryDirectory();
      const names = new Set(Array.from({ length: 20 }, () => path.basename(mailbox(directory).path)));
      expect(names.size).toBe(20);
      const box = mailbox(directory);
      box.close();
      expect(fs.readdirSync(directory)).toHaveLength(20);
    });
  });

  test('cannot be made where the directory is missing', () => {
    expect(() => Mailbox.create('/nowhere')).toThrow('/nowhere');
  });
});

describe('after a batch', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  const sizeOf = ({ path: file }: Mailbox): number => fs.statSync(file).size;

  /** One batch: inputs of so many bytes, and outputs of 4. */
  function batch(box: Mailbox, bytes: number): void {
    box.writeSync([pattern(bytes)], 0);
    box.release(bytes + 4);
  }

  test('with a few pages, the memory is kept, and no timer runs', () => {
    const box = mailbox();
    batch(box, 60 * 1024);
    expect(vi.getTimerCount()).toBe(0);
    expect(sizeOf(box)).toBe(60 * 1024);
  });

  test('the memory is kept while batches come, and given back when none has come for a while', () => {
    const box = mailbox();
    for (let round = 0; round < 3; round++) {
      batch(box, 5 * MIB);
      vi.advanceTimersByTime(1_000);
      expect(sizeOf(box)).toBe(5 * MIB);
    }
    vi.advanceTimersByTime(1_000);
    expect(sizeOf(box)).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('in its outputs, too', () => {
    const box = mailbox();
    const other = Mailbox.open(box.path);
    onTestFinished(() => other.close());
    other.writeSync([new Uint8Array(5 * MIB)], 128);
    box.release(5 * MIB + 128);
    vi.advanceTimersByTime(2_000);
    expect(sizeOf(box)).toBe(0);
  });

  test('with unusual size, the pages that the next ones do not need are given back while they come', () => {
    const box = mailbox();
    batch(box, 65 * MIB);
    vi.advanceTimersByTime(1_000);
    for (let round = 0; round < 2; round++) {
      batch(box, MIB);
      batch(box, 2 * MIB);
      vi.advanceTimersByTime(1_000);
      expect(sizeOf(box)).toBe(2 * MIB + 4);
    }
  });

  test('nothing is taken from under the next one', async () => {
    const box = mailbox();
    batch(box, 5 * MIB);
    vi.advanceTimersByTime(1_000);
    await box.write([pattern(100)], 0);
    expect(box.busy).toBe(true);
    vi.advanceTimersByTime(5_000);
    expect(Buffer.compare(await readMailbox(box, 0, 100), pattern(100))).toBe(0);
    box.release(200);
    vi.advanceTimersByTime(1_000);
    expect(sizeOf(box)).toBe(200);
    vi.advanceTimersByTime(1_000);
    expect(sizeOf(box)).toBe(200);
  });
});
