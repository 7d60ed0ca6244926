/** The first blocks of pages that begin from the models of this repository, run as a reader would copy them. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { MODELS } from '../interop/documented.ts';
import { startServer } from '../support/server.ts';
import { printedCommands } from './printed-commands.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const LIMIT_MS = 300_000;

/** The commands of a page that `isMeant` finds, in the order of the page, with `/tmp` in a folder of their own. */
function commandsOf(page: string, directory: string, isMeant: RegExp): string[] {
  const commands = printedCommands().filter((each) => each.page === page && isMeant.test(each.text));
  return commands.map((each) => each.text.replaceAll('/tmp/', `${directory}/`));
}

function temporaryDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-page-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function bash(script: string, env: Readonly<Record<string, string>> = {}) {
  const PATH = `${path.dirname(process.execPath)}${path.delimiter}${process.env['PATH']}`;
  const child = spawn('bash', ['--norc', '-c', script], {
    cwd: ROOT,
    env: { ...process.env, ...env, PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code: Number(code), stdout, stderr };
}

test('the first command of docs/compress.md makes a report of the model of the repository', {
  timeout: LIMIT_MS,
}, async () => {
  const directory = temporaryDirectory();
  const [command = '', ...others] = commandsOf('docs/compress.md', directory, /\/tmp\//);
  expect(others).toEqual([]);
  const { code, stdout, stderr } = await bash(command);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
  expect(stdout).toMatch(/^int8 .* passed$/m);
  expect(fs.existsSync(path.join(directory, 'cifar10-report/report.html'))).toBe(true);
});

test('the first commands of docs/rollout.md take version 2 of the model of the repository to all requests', {
  timeout: LIMIT_MS,
}, async () => {
  const directory = temporaryDirectory();
  const prepare = commandsOf('docs/rollout.md', directory, /^(cp|printf) /);
  const serve = commandsOf('docs/rollout.md', directory, /^npx tensorgate serve/);
  const walk = commandsOf(
    'docs/rollout.md',
    directory,
    /^(while|npx tensorgate rollout (status|.*--dry-run|.*--hold))/,
  );
  expect([prepare.length, serve.length, walk.length]).toEqual([2, 1, 4]);
  expect(serve[0]).toContain(path.join(directory, 'models'));
  expect((await bash(prepare.join('\n'))).code).toBe(0);
  await using server = await startServer(path.join(directory, path.basename(MODELS)), {
    flags: ['--log-level', 'error'],
  });
  const callers = 'callers=$!; trap "kill $callers" EXIT';
  const script = walk.map((command) => (command.startsWith('while') ? `${command}\n${callers}` : command));
  // On a busy machine a fast version has slow seconds, too: this test is not about the page's latencies.
  const { code, stdout, stderr } = await bash(
    `set -e\n${script.join('\n')}`.replace('--hold 5s', '--hold 5s --max-p99-ratio 100'),
    { TENSORGATE_URL: server.grpc },
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
  expect(stdout).toContain('nothing was changed');
  expect(stdout).toContain('version 2 of cifar10 answers');
  expect(stdout).toMatch(/^cifar10 +1 +2 +promoted /m);
});
