import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { MailboxRoom, noRoom } from '../../../src/gateway/dispatch/mailbox-room.ts';
import type { Mailbox } from '../../../src/worker/mailbox.ts';
import type { RunOutcome } from '../../../src/worker/run-outcome.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const KIB = 1024;
const TOTAL = 1_024 * KIB;
const OK: RunOutcome = { kind: 'ok', outputs: [], inputMs: 0, computeMs: 0, outputMs: 0 };

/** A directory of 1 MiB, shared by the mailboxes and a `foreign` file. */
class Directory {
  readonly path = temporaryDirectory();
  readonly room = MailboxRoom.in(this.path);
  readonly mailboxes: Mailbox[] = [];
  foreign = 0;

  constructor() {
    vi.spyOn(fs, 'statfsSync').mockImplementation((() => {
      const used = this.mailboxes.reduce((sum, { path }) => sum + fs.statSync(path).size, this.foreign);
      return { blocks: TOTAL / KIB, bavail: Math.floor((TOTAL - used) / KIB), bsize: KIB };
    }) as unknown as typeof fs.statfsSync);
  }

  mailbox(): Mailbox {
    const mailbox = this.room.open();
    this.mailboxes.push(mailbox);
    onTestFinished(() => this.room.close(mailbox));
    return mailbox;
  }

  get free(): number {
    const { bavail, bsize } = fs.statfsSync(this.path);
    return bavail * bsize;
  }
}

/** A batch of so many KiB that runs until the test ends it; it finds no room where there is less. */
class Batch {
  readonly #directory: Directory;
  readonly #mailbox: Mailbox;
  readonly #bytes: number;
  readonly outcome: Promise<RunOutcome>;
  until = Number.POSITIVE_INFINITY;
  attempts = 0;
  running = false;
  #end: (outcome: RunOutcome) => void = () => {};

  constructor(directory: Directory, kib: number, known = kib) {
    this.#directory = directory;
    this.#mailbox = directory.mailbox();
    this.#bytes = kib * KIB;
    this.outcome = directory.room.retry(
      this.#mailbox,
      known * KIB,
      () => this.#run(),
      () => this.until,
    );
  }

  async #run(): Promise<RunOutcome> {
    this.attempts++;
    if (this.#bytes > this.#directory.free) {
      this.#mailbox.empty();
      return noRoom(this.#bytes);
    }
    await this.#mailbox.write([new Uint8Array(this.#bytes)], 0);
    this.running = true;
    return new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  async end(): Promise<void> {
    this.running = false;
    this.#mailbox.release(this.#bytes);
    this.#end(OK);
    expect(await this.outcome).toEqual(OK);
    this.#directory.room.ended();
    await turn();
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

async function running(directory: Directory, kib: number): Promise<Batch> {
  const batch = new Batch(directory, kib);
  await turn();
  expect(batch.running).toBe(true);
  return batch;
}

let directory: Directory;

beforeEach(() => {
  directory = new Directory();
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a batch that found no room', () => {
  test('takes the room of idle mailboxes', async () => {
    const idle = directory.mailbox();
    idle.writeSync([new Uint8Array(900 * KIB)], 0);
    idle.release(900 * KIB);
    const batch = await running(directory, 500);
    expect(fs.statSync(idle.path).size).toBe(0);
    await batch.end();
  });

  test('waits for the batches that hold the room, and takes nothing from under them', async () => {
    const first = await running(directory, 600);
    const second = new Batch(directory, 500);
    await turn();
    expect([second.attempts, second.running]).toEqual([0, false]);
    await first.end();
    expect(second.running).toBe(true);
    await second.end();
  });

  test('ROOM-2: goes before batches that come later, also where those would fit now', async () => {
    const first = await running(directory, 600);
    const [large, small] = [new Batch(directory, 900), new Batch(directory, 100)];
    await turn();
    expect([large.running, small.running]).toEqual([false, false]);
    expect(directory.room.isTakenBefore(100 * KIB)).toBe(true);
    // A batch of a few pages keeps no one waiting.
    expect(directory.room.isTakenBefore(64 * KIB)).toBe(false);
    await first.end();
    expect([large.running, small.running]).toEqual([true, true]);
    await large.end();
    await small.end();
    expect(directory.room.isTakenBefore(100 * KIB)).toBe(false);
  });

  test('ROOM-3: is not let in where those before it will need the room', async () => {
    const first = await running(directory, 600);
    const batches = [new Batch(directory, 600), new Batch(directory, 600), new Batch(directory, 300)];
    await first.end();
    expect(batches.map((batch) => batch.running)).toEqual([true, false, false]);
    await batches[0]?.end();
    expect(batches.map((batch) => batch.running)).toEqual([false, true, true]);
    await batches[1]?.end();
    await batches[2]?.end();
    expect(batches.map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
  });

  test('keeps its turn where it needs more than was known at first', async () => {
    const first = await running(directory, 600);
    const [growing, later] = [new Batch(directory, 700, 100), new Batch(directory, 400)];
    await turn();
    expect([growing.attempts, growing.running, later.running]).toEqual([1, false, false]);
    await first.end();
    expect([growing.attempts, growing.running, later.running]).toEqual([2, true, false]);
    await growing.end();
    expect(later.running).toBe(true);
    await later.end();
  });

  test('is refused for good where it needs more than there is at all', async () => {
    await running(directory, 600);
    expect(await new Batch(directory, 1_025).outcome).toEqual({
      kind: 'no_room',
      bytes: 1_049_600,
      isLasting: true,
      message: `its tensors need 1049600 bytes in '${directory.path}' (mailboxDirectory), which has 1048576: send fewer rows, or give the server a larger directory (docker run --shm-size, emptyDir.sizeLimit)`,
    });
  });

  test('ROOM-4: is refused for now where files of others hold the room', async () => {
    directory.foreign = 800 * KIB;
    expect(await new Batch(directory, 500).outcome).toEqual({
      kind: 'no_room',
      bytes: 512_000,
      isLasting: false,
      message: `its tensors need 512000 bytes in '${directory.path}' (mailboxDirectory), where 229376 of 1048576 are free now`,
    });
  });

  test('ROOM-4: does not try for ever where the file system has room and gives none', async () => {
    const attempts: number[] = [];
    const outcome = directory.room.retry(
      directory.mailbox(),
      100 * KIB,
      async () => {
        attempts.push(performance.now());
        return noRoom(100 * KIB);
      },
      () => Number.POSITIVE_INFINITY,
    );
    expect(await outcome).toMatchObject({ kind: 'no_room', isLasting: false });
    expect(attempts).toHaveLength(1);
  });

  test('tries again where others gave room back while it ran', async () => {
    const outcomes: RunOutcome[] = [noRoom(100 * KIB), OK];
    const attempt = vi.fn(async () => {
      await turn();
      return outcomes.shift() ?? OK;
    });
    const outcome = directory.room.retry(directory.mailbox(), 100 * KIB, attempt, () => Number.POSITIVE_INFINITY);
    await Promise.resolve();
    expect(attempt).toHaveBeenCalledTimes(1);
    directory.room.ended();
    expect(await outcome).toEqual(OK);
    expect(attempt).toHaveBeenCalledTimes(2);
  });

  test('is given up when its time is over, and those behind it go on', async () => {
    const first = await running(directory, 600);
    const [impatient, patient] = [new Batch(directory, 900), new Batch(directory, 200)];
    impatient.until = performance.now() + 20;
    expect(await impatient.outcome).toMatchObject({ kind: 'no_room', isLasting: false });
    await vi.waitUntil(() => patient.running, { interval: 1 });
    await first.end();
    await patient.end();
  });
});

test('a mailbox that cannot be made is tried again without the memory of idle ones', () => {
  const idle = directory.mailbox();
  idle.writeSync([new Uint8Array(900 * KIB)], 0);
  idle.release(900 * KIB);
  const real = fs.openSync;
  vi.spyOn(fs, 'openSync').mockImplementation((...parameters) => {
    if (fs.statSync(idle.path).size > 0) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    return real(...parameters);
  });
  expect(directory.mailbox().size).toBe(0);
});
