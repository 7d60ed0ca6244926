import fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { floatRows, npz } from '../support/npz.ts';
import { offsetModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { runCommandLine } from './command-line.ts';

function repository(): Repository {
  const made = new Repository({ m: offsetModel(0.5) });
  onTestFinished(() => made[Symbol.dispose]());
  return made;
}

function record(directory: string, data: string, ...args: readonly string[]) {
  return runCommandLine(['golden', 'record', 'm', '--model-repository', directory, '--data', data, ...args]);
}

test('golden record keeps what a version answers', { timeout: 120_000 }, async () => {
  const { directory } = repository();
  const rows = path.join(temporaryDirectory(), 'rows.npz');
  fs.writeFileSync(
    rows,
    npz({
      input: floatRows([
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
      ]),
    }),
  );
  const { code, stdout } = await record(directory, rows, '--rows', '2');
  expect(stdout).toMatch(/^2 golden rows in .*m\/1\/golden$/m);
  expect(code).toBe(0);
  expect(await record(directory, rows)).toMatchObject({ code: 1, stderr: expect.stringContaining('give --replace') });
  expect(await record(directory, rows, '--replace')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('3 golden'),
  });
});

test('a server holds a version to its golden rows', { timeout: 120_000 }, async () => {
  const { directory } = repository();
  const rows = path.join(temporaryDirectory(), 'rows.npz');
  fs.writeFileSync(rows, npz({ input: floatRows([[1, 2, 3]]) }));
  await record(directory, rows);
  // Another model in its place: no digest says so, only its answers.
  fs.writeFileSync(path.join(directory, 'm/1/model.onnx'), offsetModel(0.75));
  const description = path.join(directory, 'm/1/golden/golden.json');
  const { sha256: _, ...said } = JSON.parse(fs.readFileSync(description, 'utf8'));
  fs.writeFileSync(description, JSON.stringify(said));
  await using server = await startServer(directory, { flags: ['--strict-readiness', 'false'] });
  expect(server.lines[0]).toBe(
    "m version 1: UNAVAILABLE: golden row 0: output 'output' is off by 0.25, more than 0.00003",
  );
});

test('what clients send may be kept, and used as data', { timeout: 120_000 }, async () => {
  const { directory } = repository();
  const kept = path.join(temporaryDirectory(), 'kept');
  {
    await using server = await startServer(directory, { flags: ['--record', '3', '--record-directory', kept] });
    using client = new InferenceClient(server.grpc);
    for (const value of [1, 2, 3, 4])
      await client.infer('m', { input: tensor.fp32([value, 0, 0, 0, value, 0], [2, 3]) });
  }
  expect(fs.readdirSync(path.join(kept, 'm'))).toEqual(['row-00000.npz', 'row-00001.npz', 'row-00002.npz']);
  const { code, stdout } = await record(directory, path.join(kept, 'm'));
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('3 golden rows') });
});

test('rows are kept only where a directory is named for them', async () => {
  const { directory } = repository();
  const serve = ['serve', '--model-repository', directory];
  expect(await runCommandLine([...serve, '--record', '5'])).toMatchObject({
    code: 1,
    stderr: 'error: --record: record needs recordDirectory: say where rows are kept\n',
  });
  expect(await runCommandLine([...serve, '--record-directory', directory])).toMatchObject({
    code: 1,
    stderr: 'error: --record-directory: recordDirectory is for record above 0: say how many rows are kept\n',
  });
});
