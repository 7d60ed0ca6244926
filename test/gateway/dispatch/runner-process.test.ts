import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LoadError, RunnerProcess } from '../../../src/gateway/dispatch/runner-process.ts';
import { Mailbox } from '../../../src/worker/mailbox.ts';
import { ANY_OUTPUT_BYTES, aligned, type Run } from '../../../src/worker/protocol.ts';
import { float8Model } from '../../support/exported-models.ts';
import { gatherModel, identityModel } from '../../support/onnx-models.ts';
import { stopProcess } from '../../support/process-tree.ts';
import { readMailbox } from '../../support/read-mailbox.ts';
import {
  ENDLESS,
  isAlive,
  loopModelFile,
  modelFile,
  PATIENCE_MS,
  pidOf,
  sessionSpec,
  startRunner,
} from '../../support/runners.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

function mailbox(): Mailbox {
  const made = Mailbox.create(temporaryDirectory());
  onTestFinished(() => made.close());
  return made;
}

/** Loads a model into instance 1, or another, of a runner. */
async function load(runner: RunnerProcess, modelPath: string, instance = 1): Promise<Mailbox> {
  const box = mailbox();
  await runner.load(instance, box.path, sessionSpec(modelPath), PATIENCE_MS);
  return box;
}

/** Puts one row for the loop model into the mailbox. */
function loopRun(box: Mailbox, iterations: number, value = 0): Run {
  const chunks = [
    new Uint8Array(new BigInt64Array([BigInt(iterations)]).buffer),
    new Uint8Array(56),
    new Uint8Array(new Float32Array([value]).buffer),
  ];
  box.writeSync(chunks, 0);
  return {
    inputs: [
      { name: 'iterations', datatype: 'INT64', shape: [1, 1], offset: 0, byteLength: 8 },
      { name: 'input', datatype: 'FP32', shape: [1, 1], offset: 64, byteLength: 4 },
    ],
    outputOffset: 128,
    maxOutputBytes: ANY_OUTPUT_BYTES,
  };
}

async function loadErrorOf(modelPath: string, runner = startRunner()): Promise<string> {
  const loading = runner.load(1, mailbox().path, sessionSpec(modelPath), PATIENCE_MS);
  const error = await loading.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(LoadError);
  return (error as LoadError).message;
}

describe('load', () => {
  test('reports what the session says of itself', async () => {
    const file = modelFile(identityModel('INT64', ['batch', '', 3]));
    const info = await startRunner().load(1, mailbox().path, sessionSpec(file), PATIENCE_MS);
    expect(info).toEqual({
      inputs: [{ name: 'input', datatype: 'INT64', shape: [-1, -1, 3], axes: ['batch', '', 3] }],
      outputs: [{ name: 'output', datatype: 'INT64', shape: [-1, -1, 3], axes: ['batch', '', 3] }],
      provider: 'cpu',
      refusals: [],
      notes: [],
    });
  });

  test('says of a file that is missing that it is', async () => {
    expect(await loadErrorOf('/nowhere/model.onnx')).toMatch(/\/nowhere\/model\.onnx.*(exist|No such file)/);
  });

  test('says of a file that is no model that it is none', async () => {
    expect(await loadErrorOf(modelFile(Buffer.from('this is no model')))).toMatch(/[Pp]rotobuf parsing failed/);
  });

  test('refuses a model that is cut anywhere, or empty, and stays alive', async () => {
    const whole = gatherModel(5);
    const runner = startRunner();
    for (const length of [0, 1, 10, whole.length >> 1, whole.length - 1]) {
      expect(await loadErrorOf(modelFile(whole.subarray(0, length)), runner)).not.toBe('');
    }
    expect(runner.alive).toBe(true);
    await load(runner, modelFile(whole));
  });

  test('says of an element type that cannot be served that it is not', async () => {
    expect(await loadErrorOf(modelFile(float8Model()))).toContain('FLOAT8E4M3FN');
  });

  test('says of a runner that is killed meanwhile how it ended', async () => {
    const runner = startRunner();
    const loading = loadErrorOf(loopModelFile(), runner);
    process.kill(pidOf(runner), 'SIGKILL');
    expect(await loading).toBe('the runner ended while loading the model: killed by SIGKILL');
  });

  test('that takes too long ends the process', async () => {
    const runner = startRunner();
    await stopProcess(pidOf(runner));
    await expect(runner.load(1, mailbox().path, sessionSpec(loopModelFile()), 200)).rejects.toThrow(
      'the runner ended while loading the model: no answer within 200 ms, which is the limit for a load (--runner-start-timeout-ms): raise it',
    );
    expect(await runner.ended).toEqual({
      cause: 'no answer within 200 ms',
      timedOut: true,
      culprit: { instance: 1, fault: 'overran' },
    });
  });
});

describe('run', () => {
  test('takes a batch from the mailbox and leaves its answer there', async () => {
    const runner = startRunner();
    const box = await load(runner, loopModelFile());
    const reply = await runner.run(1, loopRun(box, 10, 42), { maxMs: PATIENCE_MS });
    if (reply.kind !== 'ok') throw new Error(JSON.stringify(reply));
    const [output] = reply.outputs;
    expect(output).toMatchObject({ name: 'output', datatype: 'FP32', shape: [1, 1], byteLength: 4 });
    expect(output?.offset).toBe(aligned(output?.offset ?? 1));
    expect((await readMailbox(box, output?.offset ?? 0, 4)).readFloatLE()).toBe(42);
    expect(reply.computeMs).toBeGreaterThan(0);
  });

  test('goes on in several instances at the same time, each with its own mailbox', async () => {
    const runner = startRunner();
    const file = loopModelFile();
    const boxes = [await load(runner, file, 1), await load(runner, file, 2)];
    const values = [7, 8];
    const replies = await Promise.all(
      boxes.map((box, index) => runner.run(index + 1, loopRun(box, 500, values[index]), { maxMs: PATIENCE_MS })),
    );
    const answers = replies.map((reply, index) => {
      if (reply.kind !== 'ok') throw new Error(JSON.stringify(reply));
      const bytes = Buffer.alloc(4);
      boxes[index]?.readSync(bytes, reply.outputs[0]?.offset ?? 0);
      return bytes.readFloatLE();
    });
    expect(answers).toEqual(values);
  });

  test('with values that the model refuses says so, and the next one is fine', async () => {
    const runner = startRunner();
    const box = await load(runner, modelFile(gatherModel(5)));
    const indices = (...values: bigint[]): Run => {
      box.writeSync([new Uint8Array(new BigInt64Array(values).buffer)], 0);
      return {
        inputs: [{ name: 'indices', datatype: 'INT64', shape: [1, 2], offset: 0, byteLength: 16 }],
        outputOffset: 64,
        maxOutputBytes: ANY_OUTPUT_BYTES,
      };
    };
    const reply = await runner.run(1, indices(4n, 5n), { maxMs: PATIENCE_MS });
    expect(reply).toMatchObject({ kind: 'refused' });
    expect(reply.kind === 'refused' && reply.message).toContain('indices element out of data bounds');
    expect(await runner.run(1, indices(4n, 0n), { maxMs: PATIENCE_MS })).toMatchObject({ kind: 'ok' });
  });

  test('that finds its mailbox cut is a fault of ours, and the next one is fine', async () => {
    const runner = startRunner();
    const box = await load(runner, loopModelFile());
    const run = loopRun(box, 1);
    fs.truncateSync(box.path, 4);
    expect(await runner.run(1, run, { maxMs: PATIENCE_MS })).toMatchObject({ kind: 'failed' });
    expect(await runner.run(1, loopRun(box, 1), { maxMs: PATIENCE_MS })).toMatchObject({ kind: 'ok' });
  });

  test('on a missing instance is a fault of ours', async () => {
    const runner = startRunner();
    const box = await load(runner, loopModelFile());
    expect(await runner.run(9, loopRun(box, 1), { maxMs: PATIENCE_MS })).toMatchObject({
      kind: 'failed',
      error: new Error('no instance 9'),
    });
  });
});

describe('the end of the process', () => {
  test.each(['SIGSEGV', 'SIGABRT', 'SIGFPE', 'SIGKILL'] as const)(
    '%s in the middle of a run is reported to that run',
    async (signal) => {
      const runner = startRunner();
      const box = await load(runner, loopModelFile());
      const running = runner.run(1, loopRun(box, ENDLESS), { maxMs: PATIENCE_MS });
      process.kill(pidOf(runner), signal);
      expect(await running).toEqual({ kind: 'crashed', cause: `killed by ${signal}` });
      expect(runner.alive).toBe(false);
    },
  );

  test('PROC-1: a run that gives no answer within its limit ends only with its process', async () => {
    const runner = startRunner();
    const box = await load(runner, loopModelFile());
    const pid = pidOf(runner);
    expect(await runner.run(1, loopRun(box, ENDLESS), { maxMs: 200 })).toEqual({
      kind: 'overran',
      cause: 'no answer within 200 ms',
      maxMs: 200,
    });
    expect(isAlive(pid)).toBe(false);
  });

  test('for a run that takes too long interrupts the runs beside it', async () => {
    const runner = startRunner();
    const file = loopModelFile();
    const boxes = [await load(runner, file, 1), await load(runner, file, 2)];
    const replies = await Promise.all(
      boxes.map((box, index) =>
        runner.run(index + 1, loopRun(box, ENDLESS), { maxMs: index === 0 ? PATIENCE_MS : 300 }),
      ),
    );
    expect(replies.map(({ kind }) => kind)).toEqual(['interrupted', 'overran']);
  });

  test('a process that is stopped is killed long before the limit of its run', async () => {
    const runner = startRunner();
    const box = await load(runner, loopModelFile());
    await stopProcess(pidOf(runner));
    const reply = await runner.run(1, loopRun(box, 1), { maxMs: 600_000 });
    expect(reply).toEqual({ kind: 'timed_out', cause: 'made no progress for 2000 ms of a run' });
  });

  test('a process that is stopped is killed at the limit of its run', async () => {
    const runner = startRunner();
    const box = await load(runner, loopModelFile());
    await stopProcess(pidOf(runner));
    expect(await runner.run(1, loopRun(box, 1), { maxMs: 200 })).toMatchObject({ kind: 'timed_out' });
  });

  test('every run in the process is notified', async () => {
    const runner = startRunner();
    const file = loopModelFile();
    const boxes = [await load(runner, file, 1), await load(runner, file, 2)];
    const running = boxes.map((box, index) => runner.run(index + 1, loopRun(box, ENDLESS), { maxMs: PATIENCE_MS }));
    runner.kill('the test says so');
    expect(await Promise.all(running)).toEqual([
      { kind: 'crashed', cause: 'the test says so' },
      { kind: 'crashed', cause: 'the test says so' },
    ]);
  });

  test('PROC-2: an answer that is under way when the process is killed settles its run once, or not at all', async () => {
    const runner = startRunner();
    const box = await load(runner, loopModelFile());
    let settled = 0;
    const running = runner.run(1, loopRun(box, 1), { maxMs: PATIENCE_MS }).then((reply) => {
      settled++;
      return reply;
    });
    // While this thread is blocked the answer is written, and the process is killed: both are seen together afterwards.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    runner.kill('the test says so');
    expect(['ok', 'crashed']).toContain((await running).kind);
    await runner.ended;
    expect(settled).toBe(1);
  });

  test('after it, runs and unloads are answered at once, and loads fail', async () => {
    const runner = startRunner();
    const box = await load(runner, loopModelFile());
    runner.kill('the test says so');
    await runner.ended;
    const end = { kind: 'crashed', cause: 'the test says so' };
    expect(await runner.run(1, loopRun(box, 1), { maxMs: PATIENCE_MS })).toEqual(end);
    await runner.unload(1, PATIENCE_MS);
    await expect(runner.load(2, box.path, sessionSpec('x'), PATIENCE_MS)).rejects.toThrow('the test says so');
  });

  test('is the first cause that there was', async () => {
    const runner = startRunner();
    runner.kill('first');
    runner.kill('second');
    expect((await runner.ended).cause).toBe('first');
  });

  test("does not come from a terminal's Ctrl-C, or from a SIGTERM to the process group", async () => {
    const runner = startRunner();
    const box = await load(runner, loopModelFile());
    process.kill(pidOf(runner), 'SIGINT');
    process.kill(pidOf(runner), 'SIGTERM');
    expect(await runner.run(1, loopRun(box, 1), { maxMs: PATIENCE_MS })).toMatchObject({ kind: 'ok' });
  });
});

describe('unload', () => {
  test('frees one instance and leaves the others', async () => {
    const runner = startRunner();
    const file = loopModelFile();
    const box = await load(runner, file, 1);
    await load(runner, file, 2);
    await runner.unload(2, PATIENCE_MS);
    expect(await runner.run(2, loopRun(box, 1), { maxMs: PATIENCE_MS })).toMatchObject({ kind: 'failed' });
    expect(await runner.run(1, loopRun(box, 1), { maxMs: PATIENCE_MS })).toMatchObject({ kind: 'ok' });
  });
});

test('telemetry of ONNX Runtime is off, and the rest of the environment is as it was given', async () => {
  const runner = RunnerProcess.start('test', { ...process.env, TENSORGATE_TEST: 'yes', ORT_DISABLE_TELEMETRY: '0' });
  onTestFinished(() => runner.kill('the test is over'));
  await load(runner, modelFile(identityModel('FP32')));
  const environment = fs.readFileSync(path.join('/proc', String(runner.pid), 'environ'), 'utf8').split('\0');
  expect(environment).toContain('ORT_DISABLE_TELEMETRY=1');
  expect(environment).toContain('TENSORGATE_TEST=yes');
});

test("glibc keeps a runner's memory for its next batches, unless the environment says otherwise", async () => {
  const runner = RunnerProcess.start('test', { ...process.env, MALLOC_TRIM_THRESHOLD_: '131072' });
  onTestFinished(() => runner.kill('the test is over'));
  await load(runner, modelFile(identityModel('FP32')));
  const environment = fs.readFileSync(path.join('/proc', String(runner.pid), 'environ'), 'utf8').split('\0');
  expect(environment).toContain('MALLOC_ARENA_MAX=1');
  expect(environment).toContain('MALLOC_MMAP_THRESHOLD_=67108864');
  expect(environment).toContain('GLIBC_TUNABLES=glibc.malloc.hugetlb=1');
  expect(environment).toContain('MALLOC_TRIM_THRESHOLD_=131072');
});
