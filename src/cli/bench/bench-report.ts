/** Files of a benchmark: the folder of `--report`, and the result that `--compare` reads. */

import fs from 'node:fs/promises';
import path from 'node:path';
import { renderBenchPage } from '../../bench/page/bench-page.ts';
import { type BenchResult, parseResult, RESULT_FILE } from '../../bench/result.ts';
import { messageOf } from '../../error-message.ts';
import { CliError } from '../cli-error.ts';

const PAGE_FILE = 'index.html';

/** Writes `results.json` and `index.html`. */
export async function writeBenchReport(directory: string, result: BenchResult): Promise<void> {
  await fs.mkdir(directory, { recursive: true });
  await replaceFile(path.join(directory, RESULT_FILE), `${JSON.stringify(result, undefined, 2)}\n`);
  await replaceFile(path.join(directory, PAGE_FILE), renderBenchPage(result));
}

/** No reader sees half a file. */
async function replaceFile(file: string, text: string): Promise<void> {
  const partial = `${file}.${process.pid}`;
  await fs.writeFile(partial, text);
  await fs.rename(partial, file);
}

/**
 * Reads an earlier result.
 * @param source the file, or the folder of its report
 * @throws CliError where there is none
 */
export async function readBenchResult(source: string): Promise<BenchResult> {
  try {
    const isFolder = (await fs.stat(source)).isDirectory();
    return parseResult(await fs.readFile(isFolder ? path.join(source, RESULT_FILE) : source, 'utf8'));
  } catch (error) {
    throw new CliError(`--compare ${source}: expected results.json of a benchmark: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
