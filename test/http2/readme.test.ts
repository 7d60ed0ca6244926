/** The example of src/http2/README.md, as it is printed. */

import { once } from 'node:events';
import fs from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { Http2Server } from '../../src/http2/server.ts';
import { runProgram } from '../support/run-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const FOLDER = path.join(ROOT, 'src/http2');

/** Puts the only TypeScript of the page beside a copy of the folder, which is all that it needs. */
function writeExample(): string {
  const page = fs.readFileSync(path.join(FOLDER, 'README.md'), 'utf8');
  const [example = '', ...more] = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);
  expect(more).toEqual([]);
  const directory = temporaryDirectory();
  fs.cpSync(FOLDER, directory, { recursive: true });
  fs.writeFileSync(path.join(directory, 'package.json'), '{ "type": "module" }');
  const file = path.join(directory, 'example.ts');
  fs.writeFileSync(file, example);
  return file;
}

test('the folder and the example pass the type check of the repository, alone in a directory', async () => {
  const file = writeExample();
  const project = path.join(path.dirname(file), 'tsconfig.json');
  const compilerOptions = { typeRoots: [path.join(ROOT, 'node_modules/@types')] };
  fs.writeFileSync(
    project,
    JSON.stringify({ extends: path.join(ROOT, 'tsconfig.json'), compilerOptions, include: ['*.ts'] }),
  );
  const { code, stdout } = await runProgram(path.join(ROOT, 'node_modules/.bin/tsc'), ['-p', project]);
  expect(stdout).toBe('');
  expect(code).toBe(0);
});

test('the example answers a request of the client of Node with its body and its trailers', async () => {
  const { server } = (await import(pathToFileURL(writeExample()).href)) as { readonly server: Http2Server };
  onTestFinished(() => server.drain(0));
  if (!server.listener.listening) await once(server.listener, 'listening');
  const client = http2.connect(`http://127.0.0.1:${server.port}`);
  onTestFinished(() => client.close());
  for (const size of [0, 5, 3 * 1024 * 1024]) {
    const body = Buffer.alloc(size, 'echo ');
    const stream = client.request({ ':method': 'POST', ':path': '/' });
    const trailers = once(stream, 'trailers');
    stream.end(body);
    expect(await buffer(stream)).toEqual(body);
    expect((await trailers)[0]).toMatchObject({ 'x-echo': 'done' });
  }
});
