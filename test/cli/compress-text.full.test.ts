/** `compress` of text models: folders as Hugging Face's libraries export them, calibrated and judged on texts. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { REPORT } from '../../src/compare/report.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { type Files, sentenceEncoder, textClassifier, WORDS, writeFiles } from '../support/text-exports.ts';
import { runCommandLine } from './command-line.ts';

// Programs with runners, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 400_000 });

/** Texts of 1 to 7 words, all unlike. */
function textsFile(label?: (words: number) => string): string {
  const words = WORDS.slice(WORDS.indexOf('the'), WORDS.indexOf('runs') + 1);
  const lines = Array.from({ length: 48 }, (_, index) => {
    const text = Array.from({ length: 1 + (index % 7) }, (_, at) => words[(index * 5 + at * 3) % words.length]).join(
      ' ',
    );
    return JSON.stringify({ text, ...(label !== undefined && { label: label(1 + (index % 7)) }) });
  });
  const file = path.join(temporaryDirectory(), 'texts.jsonl');
  fs.writeFileSync(file, lines.join('\n'));
  return file;
}

function repository(files: Files): string {
  const directory = temporaryDirectory();
  writeFiles(path.join(directory, 'm'), files);
  return directory;
}

async function compress(name: string, files: Files, ...args: readonly string[]) {
  const out = path.join(temporaryDirectory(), 'out');
  const given = ['compress', name, '--model-repository', repository(files), '--report', out, ...args];
  const { code, stdout, stderr } = await runCommandLine(given);
  const file = path.join(out, 'report.json');
  const report = fs.existsSync(file) ? REPORT.parse(JSON.parse(fs.readFileSync(file, 'utf8'))) : undefined;
  return { code, stdout, stderr, report };
}

test('an encoder is judged by cosine and neighbours of its pooled vectors, by the name of its folder', async () => {
  const gates = ['--min-cosine', '0.9', '--min-neighbours', '0.5'];
  const { code, stdout, stderr, report } = await compress(
    'm',
    sentenceEncoder(),
    ...['--calibrate', textsFile(), '--rows', '12', '--to', 'int8', ...gates],
  );
  expect({ code, stderr: stderr.split('\n').at(-2) }).toEqual({
    code: 0,
    stderr: expect.not.stringContaining('error'),
  });
  expect(stdout).toMatch(/^model +cosine \(worst\) +neighbours +bytes/m);
  expect(report?.data).toMatchObject({ kind: 'held-out', rows: 36 });
  const [int8] = report?.candidates ?? [];
  expect(int8).toMatchObject({ name: 'int8', passed: true, rowIndependence: { verdict: 'independent' } });
  expect(int8?.quality.embedding).toMatchObject({ output: 'last_hidden_state', neighbours: 7 });
  expect(int8?.quality.embedding?.worstCosine).toBeLessThan(0.999_99);
  expect(int8?.gates.map(({ gate }) => gate)).toEqual(['runs', 'rows', 'min-cosine', 'min-neighbours']);
});

test('a classifier is judged by the classes that it keeps, and by labelled texts', async () => {
  const labelled = textsFile((words) => (words > 3 ? 'ids' : 'marks'));
  const { code, stdout, report } = await compress(
    'm:model',
    textClassifier(2),
    ...['--evaluate', labelled, '--with', path.join(repository(textClassifier(2)), 'm/model.onnx')],
  );
  expect({ code, classes: report?.model.classes }).toEqual({ code: 0, classes: ['ids', 'marks'] });
  expect(stdout).toMatch(/^model +accuracy +agreement +bytes/m);
  expect(report?.candidates[0]?.quality).toMatchObject({ rows: 48, agreement: 1 });
  expect(report?.candidates[0]?.quality.accuracy).toBeGreaterThan(0);
});

/** Stands for a file of texts. */
const TEXTS = 'texts.jsonl';

test.each([
  [['--publish', 'fp16-weights', '--to', 'fp16-weights'], 'where no version can be added: move its ONNX file'],
  [['--embedding', 'nothing'], '--embedding nothing: the model has no such output, but last_hidden_state, attentions'],
  [['--evaluate', TEXTS], "--evaluate needs right answers, and vectors ('last_hidden_state') have none"],
])('a folder of an encoder with %j is refused with a remedy', async (args, text) => {
  const given = args.map((arg) => (arg === TEXTS ? textsFile() : arg));
  const { code, stderr } = await compress('m', sentenceEncoder(), ...given);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(text) });
});
