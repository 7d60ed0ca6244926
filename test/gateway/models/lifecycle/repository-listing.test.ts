import { describe, expect, onTestFinished, test } from 'vitest';
import { RepositoryListing } from '../../../../src/gateway/models/lifecycle/repository-listing.ts';
import { diagnostics } from '../../../../src/gateway/ops/diagnostics.ts';
import type { RepositoryNames } from '../../../../src/gateway/repository/model-repository.ts';

const PATIENT = 60_000;

interface FakeDisk {
  /** How often the repository was read. */
  reads: number;
  models: string[];
  /** Whether reads wait for `answer`. */
  hangs: boolean;
  error: Error | undefined;
  answer(): void;
  readonly read: () => Promise<RepositoryNames>;
}

function fakeDisk(...models: string[]): FakeDisk {
  const waiting: (() => void)[] = [];
  const disk: FakeDisk = {
    reads: 0,
    models,
    hangs: false,
    error: undefined,
    answer: () => {
      for (const resume of waiting.splice(0)) resume();
    },
    read: async () => {
      disk.reads++;
      if (disk.hangs) await new Promise<void>((resolve) => waiting.push(resolve));
      if (disk.error !== undefined) throw disk.error;
      return { models: [...disk.models], foreign: [], loose: [] };
    },
  };
  return disk;
}

function notices(): string[] {
  const texts: string[] = [];
  onTestFinished(diagnostics.notice.subscribe(({ text }) => texts.push(text)));
  return texts;
}

describe('the names of a repository', () => {
  test('are those on disk now for a load, and of a moment ago for all others', async () => {
    const disk = fakeDisk('a');
    const listing = new RepositoryListing('/models', { read: disk.read, recentMs: PATIENT });
    await listing.open();
    disk.models.push('b');
    expect([...(await listing.recent())]).toEqual(['a']);
    expect([...(await listing.look())]).toEqual(['a', 'b']);
    expect([...(await listing.recent())]).toEqual(['a', 'b']);
    expect(disk.reads).toBe(2);
  });

  test('are read once for all who ask while they are read', async () => {
    const disk = fakeDisk('a');
    const listing = new RepositoryListing('/models', { read: disk.read, patienceMs: PATIENT });
    disk.hangs = true;
    const first = listing.look();
    const later = Array.from({ length: 100 }, () => listing.look());
    expect(disk.reads).toBe(1);
    // What appears after the first look began is seen by all who asked after it.
    disk.models.push('b');
    disk.hangs = false;
    disk.answer();
    await first;
    for (const look of later) expect([...(await look)]).toEqual(['a', 'b']);
    expect(disk.reads).toBe(2);
  });

  test('stay as last seen while the disk hangs, and no one waits for it twice', async () => {
    const disk = fakeDisk('a');
    const listing = new RepositoryListing('/models', { read: disk.read, patienceMs: 10, recentMs: 0 });
    await listing.open();
    const texts = notices();
    disk.hangs = true;
    expect([...(await listing.look())]).toEqual(['a']);
    await expect(listing.read()).rejects.toThrow("the model repository '/models' does not answer");
    for (let call = 0; call < 1_000; call++) await listing.recent();
    expect(disk.reads).toBe(2);
    expect(texts).toEqual([
      "the model repository '/models' does not answer; until it can be read, the models of the last look count",
    ]);
    disk.hangs = false;
    disk.models.push('b');
    disk.answer();
    await new Promise((resolve) => setImmediate(resolve));
    expect([...(await listing.look())]).toEqual(['a', 'b']);
  });

  test('stay as last seen while the directory is away, which is reported once each time', async () => {
    const disk = fakeDisk('a');
    const listing = new RepositoryListing('/models', { read: disk.read, recentMs: 0 });
    await listing.open();
    const texts = notices();
    for (let time = 0; time < 2; time++) {
      disk.error = new Error('it is away');
      await listing.look();
      expect([...(await listing.look())]).toEqual(['a']);
      disk.error = undefined;
      await listing.look();
    }
    expect(texts).toHaveLength(2);
  });

  test('are no reason to start a server where they cannot be read at first', async () => {
    const disk = fakeDisk();
    disk.error = new Error('it is away');
    await expect(new RepositoryListing('/models', { read: disk.read }).open()).rejects.toThrow('it is away');
  });
});
