/** The directory through which tensors pass: absent, not writable, or full. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { identityModel, loopModel } from '../support/onnx-models.ts';
import { openMailboxes } from '../support/open-mailboxes.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { failureOf } from './loop-requests.ts';
import { readMetrics, readReadiness } from './observation.ts';
import { ServerProcess } from './server-process.ts';

const ONE_INSTANCE = { instance_group: [{ count: 1 }] };

describe('a mailbox directory', () => {
  // `/sys` takes no files, not even from the super-user.
  test.each([
    ['that is absent', '/nosuch/mailboxes', 'ENOENT'],
    ['that is a file', '/dev/null', 'ENOTDIR'],
    ['that cannot be written', '/sys', 'EACCES'],
  ])('%s fails each load, with its name and the setting', async (_, directory, code) => {
    using repository = new Repository({ loop: { versions: { 1: loopModel() }, config: ONE_INSTANCE } });
    await using server = await startServer(repository.directory, { flags: ['--mailbox-directory', directory] });
    const reason = `no mailbox can be made in '${directory}' (${code}): it must be a writable directory, best on a memory file system; serve takes another with --mailbox-directory`;
    expect(server.lines).toEqual([`loop version 1: UNAVAILABLE: ${reason}`]);
    expect((await readReadiness(server)).text).toBe(`model loop version 1 is UNAVAILABLE: ${reason}\n`);
    await vi.waitUntil(() => server.runnerPids().length === 0, { timeout: 2_000, interval: 5 });
  });
});

test('a server that is killed while it loads leaves no file in the mailbox directory', async () => {
  const directory = temporaryDirectory();
  const slowToLoad = { versions: { 1: loopModel() }, config: { instance_group: [{ count: 3 }] } };
  using repository = new Repository({ a: slowToLoad, b: slowToLoad, c: slowToLoad });
  for (const mailboxes of [1, 2, 3, 4]) {
    await using server = new ServerProcess(repository.directory, ['--mailbox-directory', directory]);
    await vi.waitUntil(() => openMailboxes(server.pid, directory) >= mailboxes, { timeout: 30_000, interval: 1 });
    server.kill('SIGKILL');
    await server.ended;
    expect(fs.readdirSync(directory)).toEqual([]);
  }
});

const small = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-mailboxes-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
if (mounted.status !== 0) {
  console.warn(
    `SKIPPED: a full mailbox directory; no small tmpfs can be mounted here: ${mounted.stderr ?? mounted.error}`,
  );
}

describe.skipIf(mounted.status !== 0)('a mailbox directory of 1 MiB', () => {
  let repository: Repository;

  beforeAll(() => {
    const model = { versions: { 1: identityModel('FP32', ['batch', 'width']) }, config: ONE_INSTANCE };
    repository = new Repository({ wide: model, other: model });
  });

  afterAll(() => {
    repository[Symbol.dispose]();
    spawnSync('umount', [small]);
    fs.rmdirSync(small);
  });

  /** One row of so many KiB. */
  function row(kib: number, value: number) {
    return { input: tensor.fp32(new Float32Array(kib * 256).fill(value), [1, kib * 256]) };
  }

  function usedBytes(): number {
    const { blocks, bfree, bsize } = fs.statfsSync(small);
    return (blocks - bfree) * bsize;
  }

  test.each([
    ['its inputs', 1_500],
    ['its outputs', 700],
  ])('fails a batch that has no room for %s, gives the room back, and serves what fits', async (_, kib) => {
    {
      await using server = await startServer(repository.directory, { flags: ['--mailbox-directory', small] });
      using client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
      const runners = server.runnerPids();
      for (let round = 0; round < 8; round++) {
        const before = usedBytes();
        const failure = await failureOf(client.infer('wide', row(kib, 1)));
        expect(failure.status).toBe('RESOURCE_EXHAUSTED');
        expect(failure.details).toMatch(
          new RegExp(
            `^the server has no room for this request: its tensors need \\d+ bytes in '${small}' \\(mailboxDirectory\\), which has 1048576`,
          ),
        );
        expect(failure.pushbackMs).toBeUndefined();
        expect(usedBytes()).toBeLessThanOrEqual(before);
        // The model itself goes on, and so does its neighbour in the directory.
        for (const model of ['wide', 'other']) {
          const result = await client.infer(model, row(100, round));
          expect(result.output('output', 'FP32').data).toEqual(new Float32Array(100 * 256).fill(round));
        }
      }
      expect(server.runnerPids()).toEqual(runners);
      const metrics = await readMetrics(server);
      expect(metrics('tensorgate_in_flight_bytes')).toBe(0);
      // What one caller sends too much of opens no breaker for the others.
      expect(metrics('tensorgate_breaker_state', { model: 'wide' })).toBe(0);
    }
    expect(usedBytes()).toBe(0);
    expect(fs.readdirSync(small)).toEqual([]);
  });

  test('runs a batch that has no room in parts', async () => {
    const batching = { preferred_batch_size: [4], max_queue_delay_microseconds: 40_000_000 };
    const config = { ...ONE_INSTANCE, max_batch_size: 4, dynamic_batching: batching };
    using joined = new Repository({ wide: { versions: { 1: identityModel('FP32', ['batch', 'width']) }, config } });
    await using server = await startServer(joined.directory, { flags: ['--mailbox-directory', small] });
    using client = new InferenceClient(server.grpc, { deadlineMs: 60_000 });
    const results = await Promise.all([0, 1, 2, 3].map((value) => client.infer('wide', row(200, value))));
    for (const [value, result] of results.entries()) {
      expect(result.output('output', 'FP32').data).toEqual(new Float32Array(200 * 256).fill(value));
    }
    const metrics = await readMetrics(server);
    expect(metrics('tensorgate_batches_total', { model: 'wide', outcome: 'failed' })).toBe(1);
    expect(metrics('tensorgate_batches_total', { model: 'wide', outcome: 'ok' })).toBe(2);
  });

  test('is warned of when the server starts, with what it has, what it needs and what to do', async () => {
    const server = await startServer(repository.directory, { flags: ['--mailbox-directory', small] });
    await server.stop();
    const [warning, ...more] = (await server.log).split('\n').filter((line) => line.includes('mailbox: '));
    expect(warning).toMatch(/1 MiB free: .* need 128 MiB.*--shm-size.*--mailbox-directory/);
    expect(more).toEqual([]);
  });

  test('is shared: what an idle model holds, another gets, and batches wait for those that run', async () => {
    await using server = await startServer(repository.directory, { flags: ['--mailbox-directory', small] });
    using client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
    for (let round = 0; round < 4; round++) {
      await client.infer('wide', row(400, round));
      await client.infer('other', row(450, round));
    }
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, value) => client.infer(value % 2 === 0 ? 'wide' : 'other', row(300, value))),
    );
    for (const [value, result] of results.entries()) {
      expect(result.output('output', 'FP32').data).toEqual(new Float32Array(300 * 256).fill(value));
    }
    await vi.waitUntil(() => usedBytes() === 0, { timeout: 5_000, interval: 20 });
  });

  test('refuses for now when others have filled it, reports the free space, and serves again when it is free', async () => {
    const filler = path.join(small, 'filler');
    await using server = await startServer(repository.directory, { flags: ['--mailbox-directory', small] });
    using client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
    // What the first runs of the models left there is given back a moment later.
    await vi.waitUntil(() => usedBytes() === 0, { timeout: 5_000, interval: 20 });
    fs.writeFileSync(filler, new Uint8Array(900 * 1024));
    const failure = await failureOf(client.infer('wide', row(100, 1)));
    expect(failure.status).toBe('RESOURCE_EXHAUSTED');
    expect(failure.details).toMatch(
      /^the server has no room .* need \d+ bytes in '.*' .*, where \d+ of 1048576 are free now$/,
    );
    expect(failure.pushbackMs).toBeGreaterThan(0);
    expect((await client.infer('wide', row(10, 1))).output('output', 'FP32').data).toHaveLength(2_560);
    fs.rmSync(filler);
    expect((await client.infer('wide', row(400, 1))).output('output', 'FP32').data).toHaveLength(102_400);
  });

  test('that others have filled while a model is loaded decides nothing about it', async () => {
    const filler = path.join(small, 'filler');
    fs.writeFileSync(filler, new Uint8Array(1024 * 1024));
    using joined = new Repository({
      wide: { versions: { 1: identityModel('FP32', ['batch', 20_000]) }, config: ONE_INSTANCE },
    });
    await using server = new ServerProcess(joined.directory, ['--mailbox-directory', small]);
    let isReady = false;
    void server.ready.then(() => {
      isReady = true;
    });
    // The model is there, and runs nothing.
    await vi.waitUntil(() => openMailboxes(server.pid, small) > 0, { timeout: 20_000, interval: 5 });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(isReady).toBe(false);
    fs.rmSync(filler);
    await server.ready;
    expect(server.lines[0]).toMatch(/^wide version 1: .*batching on/);
    server.kill('SIGTERM');
    await server.ended;
  });
});
