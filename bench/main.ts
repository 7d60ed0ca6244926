/**
 * npm run bench [-- transport | overhead | acceptors | rest | text | tls | efficiency | overload | refusal | start | shadow | orca | access-log] [--rounds N]
 *
 * Prints ratios against a limit of the same run: medians with their spread. See docs/performance.md for what they mean,
 * and for the limits of the figures.
 */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../src/error-message.ts';
import { acceptors } from './acceptors.ts';
import { accessLog } from './access-log.ts';
import { efficiency } from './efficiency.ts';
import { orca } from './orca.ts';
import { overhead } from './overhead.ts';
import { overload } from './overload.ts';
import { refusal } from './refusal.ts';
import type { Bench } from './report.ts';
import { rest } from './rest.ts';
import { shadow } from './shadow.ts';
import { start } from './start.ts';
import { text } from './text.ts';
import { tls } from './tls.ts';
import { transport } from './transport.ts';

const BENCHES: Readonly<Record<string, Bench>> = {
  transport,
  overhead,
  acceptors,
  rest,
  text,
  tls,
  efficiency,
  overload,
  refusal,
  start,
  shadow,
  orca,
  'access-log': accessLog,
};

const USAGE = `usage: npm run bench [-- ${Object.keys(BENCHES).join(' | ')}] [--rounds N]

Measures the package as it ships, and prints ratios to a limit or a peer of the same run. Without a name all of them run, for
about half an hour. --rounds is the number of windows of each figure (default: 5). docs/performance.md explains the figures.`;
const { values, positionals } = givenArguments();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const unknown = positionals.find((name) => !Object.hasOwn(BENCHES, name));
if (unknown !== undefined) misused(`there is no bench '${unknown}'`);
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) misused(`--rounds is '${values.rounds}', expected a number from 1`);

// The figures are about the shipped form: stripping types at start would cost memory that users do not pay.
const build = spawnSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
if (build.status !== 0) process.exit(1);

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-bench-'));
try {
  const cpu = os.cpus()[0]?.model ?? 'unknown CPU';
  console.log(
    `${cpu}, ${os.availableParallelism()} cores, Node ${process.version}, ${rounds} rounds; load ${os.loadavg()[0]?.toFixed(2)}`,
  );
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (positionals.length === 0 || positionals.includes(name)) await bench(scratch, rounds);
  }
} finally {
  fs.rmSync(scratch, { recursive: true, force: true });
}

function givenArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { rounds: { type: 'string', default: '5' }, help: { type: 'boolean', default: false } },
    });
  } catch (error) {
    return misused(messageOf(error));
  }
}

function misused(reason: string): never {
  console.error(`error: ${reason}\n\n${USAGE}`);
  process.exit(2);
}
