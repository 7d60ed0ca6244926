import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { RunnerSession, type RunnerSessionOptions } from '../../src/compress/runner-session.ts';
import { LoadError } from '../../src/gateway/dispatch/runner-process.ts';
import { additionModel } from '../support/onnx-models.ts';
import { modelFile } from '../support/runners.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

function open(modelPath: string, options: Partial<RunnerSessionOptions> = {}): Promise<RunnerSession> {
  const mailboxDirectory = temporaryDirectory();
  return RunnerSession.open(modelPath, { env: process.env, name: 'test', mailboxDirectory, ...options });
}

function input(values: readonly number[]) {
  const data = new Uint8Array(new Float32Array(values).buffer);
  return { name: 'input', datatype: 'FP32', shape: [values.length, 1], data } as const;
}

test('runs a model file with named tensors, in a process of its own', async () => {
  await using session = await open(modelFile(additionModel(1)));
  const { outputs, computeMs } = await session.run([input([1, 2, 3])]);
  const [output] = outputs;
  expect(output).toMatchObject({ name: 'output', datatype: 'FP32', shape: [3, 1] });
  expect(new Float32Array(Uint8Array.from(output!.data).buffer)).toEqual(Float32Array.of(2, 3, 4));
  expect(computeMs).toBeGreaterThan(0);
  expect(session.loadMs).toBeGreaterThan(0);
  expect(await session.memory()).toBeGreaterThan(2 ** 20);
});

test('names missing inputs, and the objection of the model to its values', async () => {
  await using session = await open(modelFile(additionModel(1)));
  await expect(session.run([])).rejects.toThrow("no values for input 'input'");
  await expect(session.run([{ ...input([1, 2]), shape: [2] }])).rejects.toThrow(/[Ii]nvalid/);
  // It goes on.
  await expect(session.run([input([1])])).resolves.toMatchObject({ outputs: [{ shape: [1, 1] }] });
});

test('does not open a file that is not a model', async () => {
  await expect(open(modelFile(Buffer.from('no model')))).rejects.toThrow(LoadError);
});

test('a load beyond the limit is no reason to name an option of the server', async () => {
  const error = await open(modelFile(additionModel(1)), { limitMs: 1 }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(LoadError);
  expect(String(error)).toMatch(/no answer within 1 ms$/);
});

test('writes the graph as it runs, where that is asked for', async () => {
  const written = path.join(temporaryDirectory(), 'optimized.onnx');
  await using _ = await open(modelFile(additionModel(1)), { session: { optimizedModelFilePath: written } });
  expect(fs.statSync(written).size).toBeGreaterThan(0);
});
