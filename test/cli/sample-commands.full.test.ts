/** The commands that `tensorgate serve` prints, pasted into a shell. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { encoderModel, halfPrecisionModel, identityModel, mlpModel } from '../support/onnx-models.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { grpcurl as findGrpcurl } from '../tools/tools.ts';
import { type Ended, endServer, startServer } from './command-line.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const program = findGrpcurl();
if (program === undefined) console.warn('SKIPPED: grpcurl is not installed (test/tools/setup.sh does)');

/** Runs a line as a shell does, with this checkout's program in place of `npx tensorgate`. */
function runPrinted(line: string): Ended {
  const folder = temporaryDirectory();
  fs.writeFileSync(path.join(folder, 'npx'), `#!/bin/sh\nshift\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`, {
    mode: 0o755,
  });
  if (program !== undefined) fs.symlinkSync(program, path.join(folder, 'grpcurl'));
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}` };
  const { status, stdout, stderr } = spawnSync('sh', ['-c', line], { env, encoding: 'utf8', maxBuffer: 2 ** 26 });
  return { code: status, stdout, stderr };
}

describe('the commands that the start prints', () => {
  test.each<{ what: string; model: Uint8Array }>([
    { what: 'a short request', model: mlpModel() },
    { what: 'a long request', model: identityModel('FP32', ['batch', 3, 224, 224]) },
    { what: 'two open axes', model: identityModel('FP32', ['batch', 3, 'height', 'width']) },
    { what: 'truth values', model: identityModel('BOOL') },
    { what: 'texts', model: identityModel('BYTES') },
    { what: 'integers of 64 bits', model: identityModel('INT64', ['batch', 100]) },
    { what: 'no batch axis', model: identityModel('FP64', [2, 3]) },
    { what: 'token ids and a mask', model: encoderModel() },
    { what: 'half precision', model: halfPrecisionModel() },
  ])('work literally for a model with $what', async ({ what, model }) => {
    const file = path.join(temporaryDirectory(), "it's.onnx");
    fs.writeFileSync(file, model);
    const server = await startServer([file]);
    onTestFinished(() => endServer(server));
    const commands = server.lines.flatMap(
      (line) => /^(?:try: |or: {2})(?<command>.*)$/.exec(line)?.groups?.['command'] ?? [],
    );
    const [infer = '', grpcurl] = commands;
    const answer = runPrinted(infer);
    expect(answer).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(answer.stdout)).toMatchObject({ model_name: 'it-s', model_version: '1' });
    if (what !== 'half precision') expect(grpcurl).toBeDefined();
    if (grpcurl === undefined || program === undefined) return;
    const second = runPrinted(grpcurl);
    expect(second).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(second.stdout)).toMatchObject({ modelName: 'it-s', modelVersion: '1' });
  });
});
