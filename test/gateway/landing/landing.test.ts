import fs from 'node:fs';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Landing } from '../../../src/gateway/landing/landing.ts';
import { MAILBOX_DIRECTORY } from '../../../src/mailbox-directory.ts';
import { LandedInputs } from '../../../src/worker/landed-inputs.ts';

const BYTES = 100_000;
const DATA = Buffer.from(Array.from({ length: BYTES }, (_, index) => index * 7));

function opened(): Landing {
  const landing = Landing.open(MAILBOX_DIRECTORY);
  if (landing === undefined) throw new Error('no file without a name');
  onTestFinished(() => landing.close());
  return landing;
}

function landed(landing: Landing, data = DATA) {
  const tensor = landing.tryLand(data.byteLength);
  if (tensor === undefined) throw new Error('no room');
  for (let at = 0; at < data.byteLength; at += 16_384) tensor.append(data, at, Math.min(data.byteLength, at + 16_384));
  return tensor;
}

test('servers of one process share the landing of a directory', () => {
  const landing = Landing.in(MAILBOX_DIRECTORY);
  expect(landing).toBeDefined();
  expect(Landing.in(MAILBOX_DIRECTORY)).toBe(landing);
});

describe('a tensor that has landed', () => {
  test('is read by a runner where it was lent, and a part of it where that lies', () => {
    const tensor = landed(opened());
    const runner = new LandedInputs();
    onTestFinished(() => runner.close());
    for (const [bytes, from] of [
      [tensor, 0],
      [tensor.slice(50_000, 60_000), 50_000],
      [tensor.slice(50_000, 60_000).slice(100, 200), 50_100],
    ] as const) {
      const place = bytes.lend();
      if (place === undefined) throw new Error('in memory');
      const target = Buffer.alloc(bytes.byteLength);
      runner.readSync(place.file, place.offset, target);
      bytes.giveBack();
      expect(target.equals(DATA.subarray(from, from + bytes.byteLength))).toBe(true);
    }
    tensor.release();
  });

  test('LAND-1: keeps its room until its last holder releases it and no run reads it, and then gives it back once', () => {
    const landing = opened();
    const tensor = landed(landing);
    tensor.retain();
    tensor.lend();
    tensor.release();
    tensor.release();
    expect(landing.size).toBe(1);
    tensor.giveBack();
    expect(landing.size).toBe(0);
    expect(() => tensor.read()).toThrow('a request that has ended');
  });

  test('that is read into memory gives its room back, and has no place any more', () => {
    const landing = opened();
    const tensor = landed(landing);
    expect(Buffer.from(tensor.read()).equals(DATA)).toBe(true);
    expect([landing.size, tensor.lend()]).toEqual([0, undefined]);
    expect(tensor.read()).toBe(tensor.read());
    tensor.release();
  });

  test('that is read into memory during a run stays where the run reads it', () => {
    const landing = opened();
    const tensor = landed(landing);
    tensor.lend();
    tensor.read();
    expect(landing.size).toBe(1);
    tensor.giveBack();
    expect(landing.size).toBe(0);
    tensor.release();
  });

  test('is whole in memory where the room is taken from it while it arrives', () => {
    const landing = opened();
    const tensor = landing.tryLand(BYTES);
    tensor?.append(DATA, 0, 60_000);
    landing.evacuate();
    expect(landing.size).toBe(0);
    tensor?.append(DATA, 60_000, BYTES);
    expect(Buffer.from(tensor?.read() ?? []).equals(DATA)).toBe(true);
    tensor?.release();
  });

  test('is whole in memory where its file system has no more room', () => {
    const landing = opened();
    const tensor = landing.tryLand(BYTES);
    tensor?.append(DATA, 0, 30_000);
    const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    const write = vi.spyOn(fs, 'writeSync').mockImplementation(() => {
      throw full;
    });
    onTestFinished(() => write.mockRestore());
    tensor?.append(DATA, 30_000, BYTES);
    expect([landing.size, Buffer.from(tensor?.read() ?? []).equals(DATA)]).toEqual([0, true]);
    tensor?.release();
  });
});

describe('a landing', () => {
  test('LANDING-1: takes nothing where half of the file system would not stay free', () => {
    const landing = opened();
    const space = { blocks: 100, bavail: 60, bsize: 10_000 };
    const stat = vi.spyOn(fs, 'statfsSync').mockReturnValue(space as fs.StatsFs);
    onTestFinished(() => stat.mockRestore());
    const first = landing.tryLand(BYTES);
    expect(first?.byteLength).toBe(BYTES);
    space.bavail = 55;
    expect(landing.tryLand(BYTES)).toBeUndefined();
    first?.release();
    expect(landing.size).toBe(0);
  });

  test('LANDING-2: moves into memory only what no run reads', () => {
    const landing = opened();
    const [lent, other] = [landed(landing), landed(landing)];
    lent.lend();
    expect(landing.lentBytes).toBe(BYTES);
    landing.evacuate();
    expect([landing.size, other.lend()]).toEqual([1, undefined]);
    lent.giveBack();
    for (const tensor of [lent, other]) tensor.release();
    expect(landing.size).toBe(0);
  });

  test('LANDING-3: a file that is not used any more holds no memory', async () => {
    const landing = opened();
    const tensor = landed(landing);
    const place = tensor.lend();
    tensor.giveBack();
    const blocks = (): number => fs.fstatSync(place?.file.descriptor ?? -1).blocks;
    expect(blocks()).toBeGreaterThan(0);
    tensor.release();
    await vi.waitUntil(() => blocks() === 0, { timeout: 20_000 });
  });

  test('gives a tensor that is larger than its files one by itself', () => {
    const landing = opened();
    const stat = vi.spyOn(fs, 'statfsSync').mockReturnValue({ blocks: 0 } as fs.StatsFs);
    onTestFinished(() => stat.mockRestore());
    const large = landing.tryLand(40 * 2 ** 20);
    const small = landing.tryLand(BYTES);
    expect([large?.byteLength, small?.byteLength, landing.size]).toEqual([40 * 2 ** 20, BYTES, 2]);
    large?.release();
    small?.release();
  });
});
