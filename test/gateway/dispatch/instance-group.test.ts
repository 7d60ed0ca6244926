import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type InferTensors, UNIT_ROW } from '../../../src/gateway/admit/infer-tensors.ts';
import { scatter } from '../../../src/gateway/batch/batch.ts';
import { InstanceGroup, type InstanceGroupOptions } from '../../../src/gateway/dispatch/instance-group.ts';
import type { RunnerProcess } from '../../../src/gateway/dispatch/runner-process.ts';
import { bytesOf } from '../../../src/wire/tensor-bytes.ts';
import type { RunOutcome } from '../../../src/worker/run-outcome.ts';
import { gatherModel, identityModel, sumModel } from '../../support/onnx-models.ts';
import { openMailboxes } from '../../support/open-mailboxes.ts';
import {
  batchOf,
  ENDLESS,
  groupOptions,
  loopModelFile,
  loopRow,
  modelFile,
  PATIENCE_MS,
  pidOf,
  sessionSpec,
  startRunner,
} from '../../support/runners.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

interface Occupied {
  readonly group: InstanceGroup;
  readonly runner: RunnerProcess;
  run(rows: readonly InferTensors[], limitMs?: number): Promise<RunOutcome>;
}

async function occupied(modelPath: string, options: Partial<InstanceGroupOptions> = {}): Promise<Occupied> {
  const group = new InstanceGroup(groupOptions(modelPath, options));
  const runner = startRunner();
  await group.load(runner);
  return {
    group,
    runner,
    run: (rows, limitMs = PATIENCE_MS) =>
      group.run(batchOf(rows), { inputs: group.info.inputs, axis: 'rows' }, { maxMs: limitMs }),
  };
}

function floats(...rows: (readonly number[])[]): InferTensors {
  const data = new Uint8Array(new Float32Array(rows.flat()).buffer);
  return {
    rows: rows.length,
    bytes: data.length,
    size: UNIT_ROW,
    bucket: '',
    inputs: [data],
    shapes: [[rows.length, 2]],
  };
}

describe('a batch', () => {
  test('is run as one, and each request gets its own rows of each output', async () => {
    const { run } = await occupied(modelFile(sumModel()));
    const pair = (a: number[][], b: number[][]): InferTensors => ({
      ...floats(...a),
      inputs: [...floats(...a).inputs, ...floats(...b).inputs],
      shapes: [
        [a.length, 2],
        [b.length, 2],
      ],
    });
    const rows = [
      pair([[1, 2]], [[10, 20]]),
      pair(
        [
          [3, 4],
          [5, 6],
        ],
        [
          [30, 40],
          [50, 60],
        ],
      ),
    ];
    const outcome = await run(rows);
    if (outcome.kind !== 'ok') throw new Error(JSON.stringify(outcome));
    const parts = scatter(batchOf(rows), outcome.outputs, 'rows').map((outputs) =>
      Object.fromEntries(outputs.map(({ name, data }) => [name, [...new Float32Array(Uint8Array.from(data).buffer)]])),
    );
    expect(parts).toEqual([
      { sum: [11, 22], difference: [-9, -18] },
      { sum: [33, 44, 55, 66], difference: [-27, -36, -45, -54] },
    ]);
    expect(outcome.inputMs + outcome.computeMs + outcome.outputMs).toBeGreaterThan(0);
  });

  test('with megabytes comes back bit for bit', async () => {
    const { run } = await occupied(modelFile(identityModel('UINT8', ['batch', 1_000_000])));
    const rows = [1, 2, 3].map((value): InferTensors => {
      const data = new Uint8Array(1_000_000).fill(value);
      data[999_999] = 77;
      return { rows: 1, bytes: data.length, size: UNIT_ROW, bucket: '', inputs: [data], shapes: [[1, 1_000_000]] };
    });
    const outcome = await run(rows);
    if (outcome.kind !== 'ok') throw new Error(JSON.stringify(outcome));
    const parts = scatter(batchOf(rows), outcome.outputs, 'rows');
    for (const [index, part] of parts.entries()) {
      expect(
        Buffer.compare(part[0]?.data ?? new Uint8Array(0), bytesOf(rows[index]?.inputs[0] ?? new Uint8Array(0))),
      ).toBe(0);
    }
  });

  test('answers stay as they are when the next batch is run', async () => {
    const { run } = await occupied(modelFile(identityModel('FP32', ['batch', 2])));
    const first = await run([floats([1, 2])]);
    await run([floats([8, 9])]);
    if (first.kind !== 'ok') throw new Error(JSON.stringify(first));
    expect([...new Float32Array(Uint8Array.from(first.outputs[0]?.data ?? []).buffer)]).toEqual([1, 2]);
  });

  test('that the model refuses is refused, with the text of ONNX Runtime', async () => {
    const { run } = await occupied(modelFile(gatherModel(5)));
    const data = new Uint8Array(new BigInt64Array([1n, 99n]).buffer);
    const outcome = await run([{ rows: 1, bytes: 16, size: UNIT_ROW, bucket: '', inputs: [data], shapes: [[1, 2]] }]);
    expect(outcome).toMatchObject({ kind: 'refused', message: expect.stringContaining('out of data bounds') });
  });

  test('whose runner is killed has crashed; one that runs for too long has overrun', async () => {
    const first = await occupied(loopModelFile());
    const running = first.run([loopRow(ENDLESS)]);
    process.kill(pidOf(first.runner), 'SIGSEGV');
    expect(await running).toEqual({ kind: 'crashed', cause: 'killed by SIGSEGV' });

    const second = await occupied(loopModelFile());
    expect(await second.run([loopRow(ENDLESS)], 200)).toEqual({
      kind: 'overran',
      cause: 'no answer within 200 ms',
      maxMs: 200,
    });
  });

  test('that no caller waits for is abandoned for others, and the one beside it is interrupted', async () => {
    const file = loopModelFile();
    const { group } = await occupied(file, { specs: [sessionSpec(file), sessionSpec(file)] });
    const signature = { inputs: group.info.inputs, axis: 'rows' } as const;
    const demand = { expectedMs: 0, isInTheWay: () => true, wait: () => {} };
    const gone = group.run(batchOf([loopRow(ENDLESS)]), signature, { maxMs: PATIENCE_MS, demand });
    const beside = group.run(batchOf([loopRow(ENDLESS)]), signature, { maxMs: PATIENCE_MS });
    expect(await gone).toEqual({ kind: 'abandoned', cause: expect.stringContaining('no caller waited for') });
    expect(await beside).toMatchObject({ kind: 'interrupted' });
  });
});

describe('instances', () => {
  test('GROUP-1: take one batch each, and report when they are idle again', async () => {
    let idled = 0;
    const file = loopModelFile();
    const { group, run } = await occupied(file, {
      specs: [sessionSpec(file), sessionSpec(file)],
      onIdle: () => {
        idled++;
      },
    });
    expect([group.size, group.idle, idled]).toEqual([2, 2, 1]);
    const running = [run([loopRow(2_000)]), run([loopRow(2_000)])];
    expect(group.idle).toBe(0);
    expect(await run([loopRow(1)])).toMatchObject({ kind: 'failed' });
    expect((await Promise.all(running)).map(({ kind }) => kind)).toEqual(['ok', 'ok']);
    expect([group.idle, idled]).toEqual([2, 3]);
  });

  test('are none while the runner is gone', async () => {
    const { group, runner, run } = await occupied(loopModelFile());
    runner.kill('the test says so');
    await runner.ended;
    expect(group.idle).toBe(0);
    expect(await run([loopRow(1)])).toMatchObject({ kind: 'failed' });
  });

  test('are loaded into the next runner', async () => {
    const { group, runner, run } = await occupied(loopModelFile());
    runner.kill('the test says so');
    await runner.ended;
    await group.load(startRunner());
    expect(group.idle).toBe(1);
    expect(await run([loopRow(1)])).toMatchObject({ kind: 'ok' });
  });

  test('that are unloaded leave nothing in a runner that others go on using', async () => {
    const { group, runner, run } = await occupied(loopModelFile());
    group.unload();
    expect(group.idle).toBe(0);
    expect(await run([loopRow(1)])).toMatchObject({ kind: 'failed' });
    expect(runner.alive).toBe(true);
  });
});

describe('mailboxes', () => {
  test('have no name once both sides hold them: a crash leaves nothing behind', async () => {
    const mailboxDirectory = temporaryDirectory();
    const file = loopModelFile();
    const { run } = await occupied(file, { mailboxDirectory, specs: [sessionSpec(file), sessionSpec(file)] });
    expect(fs.readdirSync(mailboxDirectory)).toEqual([]);
    expect(await run([loopRow(1)])).toMatchObject({ kind: 'ok' });
    expect(fs.readdirSync(mailboxDirectory)).toEqual([]);
  });

  test('are gone where the model does not load', async () => {
    const mailboxDirectory = temporaryDirectory();
    const good = loopModelFile();
    const group = new InstanceGroup(
      groupOptions(good, { mailboxDirectory, specs: [sessionSpec(good), sessionSpec('/nowhere/model.onnx')] }),
    );
    const runner = startRunner();
    await expect(group.load(runner)).rejects.toThrow('/nowhere/model.onnx');
    expect(fs.readdirSync(mailboxDirectory)).toEqual([]);
    expect(group.idle).toBe(0);
    expect(openMailboxes(process.pid, mailboxDirectory)).toBe(0);
  });

  test('are closed when their runner dies, in service and in the middle of a run', async () => {
    const mailboxDirectory = temporaryDirectory();
    const file = loopModelFile();
    const specs = [sessionSpec(file), sessionSpec(file)];
    const { runner, run } = await occupied(file, { mailboxDirectory, specs });
    expect(openMailboxes(process.pid, mailboxDirectory)).toBe(2);
    const running = run([loopRow(ENDLESS)]);
    runner.kill('the test says so');
    expect(await running).toMatchObject({ kind: 'crashed' });
    expect(openMailboxes(process.pid, mailboxDirectory)).toBe(0);
  });

  test('that cannot be made fail the load with the reason', async () => {
    const group = new InstanceGroup(groupOptions(loopModelFile(), { mailboxDirectory: '/nowhere' }));
    await expect(group.load(startRunner())).rejects.toThrow('/nowhere');
  });
});
