import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  Disk,
  DiskTimeout,
  digestFile,
  readEntries,
  readText,
  statFile,
} from '../../../src/gateway/repository/disk.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

/** Operations that end on demand. */
function operations(): {
  start: (name: string) => () => Promise<string>;
  end: (name: string) => void;
  started: string[];
} {
  const ends = new Map<string, () => void>();
  const started: string[] = [];
  return {
    started,
    start: (name) => () => {
      started.push(name);
      return new Promise((resolve) => ends.set(name, () => resolve(name)));
    },
    end: (name) => ends.get(name)?.(),
  };
}

const LONG = 60_000;

describe('the file operations of a process', () => {
  test('run two at a time, in the order in which they came', async () => {
    const disk = new Disk(2);
    const { start, end, started } = operations();
    const runs = ['a', 'b', 'c', 'd'].map((name) => disk.run(name, start(name), LONG));
    expect(started).toEqual(['a', 'b']);
    end('b');
    expect(await runs[1]).toBe('b');
    await Promise.resolve();
    expect(started).toEqual(['a', 'b', 'c']);
    for (const name of ['a', 'c']) end(name);
    expect(await Promise.all([runs[0], runs[2]])).toEqual(['a', 'c']);
    end('d');
    expect(await runs[3]).toBe('d');
  });

  test('that hang reject those who wait, also those whose turn never came', async () => {
    const disk = new Disk(1);
    const { start, end, started } = operations();
    const hanging = disk.run('reading /models', start('a'), 10);
    const behind = disk.run('reading /models/b', start('b'), 10);
    await expect(hanging).rejects.toThrow(DiskTimeout);
    await expect(hanging).rejects.toThrow('reading /models takes longer than 0.01 s: the file system does not answer');
    await expect(behind).rejects.toThrow(DiskTimeout);
    const next = disk.run('c', start('c'), LONG);
    end('a');
    await new Promise((resolve) => setImmediate(resolve));
    // No one waits for b any more: it is not begun.
    expect(started).toEqual(['a', 'c']);
    end('c');
    expect(await next).toBe('c');
  });

  test('that fail free their place', async () => {
    const disk = new Disk(1);
    await expect(disk.run('a', () => Promise.reject(new Error('broken')), LONG)).rejects.toThrow('broken');
    expect(await disk.run('b', async () => 'b', LONG)).toBe('b');
  });
});

describe('files', () => {
  test('that are not there are distinguished from those that cannot be known', async () => {
    expect(await statFile('/nowhere/at/all')).toBeUndefined();
    await expect(readEntries('/nowhere/at/all')).rejects.toThrow('ENOENT');
  });

  test.each<{ what: string; bytes: Buffer }>([
    { what: 'UTF-8', bytes: Buffer.from('a: ö\r\n') },
    { what: 'UTF-8 with a byte order mark', bytes: Buffer.from('\ufeffa: ö\r\n') },
    { what: 'UTF-16, little-endian', bytes: Buffer.from('\ufeffa: ö\r\n', 'utf16le') },
    { what: 'UTF-16, big-endian', bytes: Buffer.from('\ufeffa: ö\r\n', 'utf16le').swap16() },
  ])('are text in $what', async ({ bytes }) => {
    const file = path.join(temporaryDirectory(), 'text');
    fs.writeFileSync(file, bytes);
    expect(await readText(file)).toBe('a: ö\r\n');
  });

  test('have the digest of all of their bytes', async () => {
    const file = path.join(temporaryDirectory(), 'large');
    const bytes = randomBytes(2 ** 21 + 17);
    fs.writeFileSync(file, bytes);
    expect(await digestFile(file)).toBe(createHash('sha256').update(bytes).digest('hex'));
  });
});
