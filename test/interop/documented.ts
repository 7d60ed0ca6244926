/** The commands of docs/clients.md: tests run the documented commands. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Ended, runProgram } from '../support/run-program.ts';
import type { TestServer } from '../support/server.ts';

const PAGE = fs.readFileSync(new URL('../../docs/clients.md', import.meta.url), 'utf8');

/** What the page shows: a server of these models. */
export const MODELS = fileURLToPath(new URL('../../models', import.meta.url));

/**
 * The code of a section, block by block, in the order of the page.
 * @throws AssertionError where there is none: the page and its test have parted.
 */
export function documented(section: string, language: 'sh' | 'python' | 'yaml'): readonly string[] {
  const start = PAGE.indexOf(`\n## ${section}\n`);
  assert.notEqual(start, -1, `docs/clients.md has no section '${section}'`);
  const end = PAGE.indexOf('\n## ', start + 1);
  const blocks = PAGE.slice(start, end === -1 ? undefined : end).matchAll(/^```(\w+)\n(.*?)^```$/gms);
  const found = [...blocks].filter(([, tag]) => tag === language).map(([, , code = '']) => code);
  assert.notEqual(found.length, 0, `docs/clients.md has no ${language} in section '${section}'`);
  return found;
}

/** The code as it would stand there if this server were the reader's. */
export function addressedTo({ grpc, http }: TestServer, code: string): string {
  return code.replaceAll('localhost:8001', grpc).replaceAll('localhost:8002', http.replace('http://', ''));
}

/**
 * Runs a shell block in the root of the repository.
 * @param programs are found before the system's own of that name.
 * @param variables of the environment, besides the tests' own
 */
export function runDocumented(
  server: TestServer,
  code: string,
  programs: readonly string[],
  cwd: string = path.dirname(MODELS),
  variables: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const folders = [...programs.map((program) => path.dirname(program)), process.env['PATH'] ?? ''];
  const env = { ...variables, PATH: folders.join(path.delimiter) };
  // A bash that finds a socket for its input takes itself for a remote shell, and would read what login shells read.
  return runProgram('bash', ['--norc', '-euo', 'pipefail', '-c', addressedTo(server, code)], { env, cwd });
}
