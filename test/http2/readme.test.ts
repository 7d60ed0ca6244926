/** The example of src/http2/README.md, as it is printed. */

import { once } from 'node:events';
import fs from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Protocol } from '../../src/http2/protocol.ts';
import type { Http2Server } from '../../src/http2/server.ts';
import { runProgram } from '../support/run-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const BODY_BYTES = 16 * 1024;
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

test('the folder and the example pass the type check of the repository in a directory of their own', async () => {
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

test('an eviction from the example ends one request, and leaves room for the others', async () => {
  const file = writeExample();
  const { echo, server: unused } = (await import(pathToFileURL(file).href)) as { echo: Protocol; server: Http2Server };
  onTestFinished(() => unused.drain(0));
  const serverFile = pathToFileURL(path.join(path.dirname(file), 'server.ts')).href;
  const copy = (await import(serverFile)) as { readonly Http2Server: typeof Http2Server };
  // Seven eighths are for bodies: three of them fit, and a fourth one does not.
  const limits = { maxIncomingBytesInAll: 64 * 1024 };
  const server = new copy.Http2Server(echo, { maxConcurrentStreams: 100, limits });
  server.listener.listen(0, '127.0.0.1');
  await once(server.listener, 'listening');
  onTestFinished(() => server.drain(0));
  const connect = (settings: http2.Settings): http2.ClientHttp2Session => {
    const client = http2.connect(`http://127.0.0.1:${server.port}`, { settings });
    onTestFinished(() => client.close());
    return client;
  };
  const post = async (client: http2.ClientHttp2Session): Promise<http2.ClientHttp2Stream> => {
    const stream = client.request({ ':method': 'POST', ':path': '/' });
    const held = server.gauges.incomingBytes;
    stream.write(Buffer.alloc(BODY_BYTES, 'echo '));
    await vi.waitFor(() => expect(server.gauges.incomingBytes).toBe(held + BODY_BYTES));
    return stream;
  };
  // Until the client opens its window the answers wait, and what ends a request is still to come.
  const full = connect({ initialWindowSize: 0 });
  const crowd = [await post(full), await post(full), await post(full)];
  expect(server.gauges.incomingBytes).toBe(3 * BODY_BYTES);
  const last = connect({}).request({ ':method': 'POST', ':path': '/' });
  last.end(Buffer.alloc(BODY_BYTES, 'echo '));
  expect(await buffer(last)).toHaveLength(BODY_BYTES);
  expect(server.gauges.incomingBytes).toBe(2 * BODY_BYTES);
  const heads = crowd.map((stream) => once(stream, 'response'));
  const bodies = crowd.map((stream) => buffer(stream.end()));
  await vi.waitFor(() => expect(server.gauges.incomingBytes).toBe(0));
  full.settings({ initialWindowSize: 65_535 });
  const statuses = (await Promise.all(heads)).map(([head]) => (head as http2.IncomingHttpHeaders)[':status']);
  expect(statuses.sort()).toEqual([200, 200, 503]);
  const lengths = (await Promise.all(bodies)).map(({ length }) => length);
  expect(lengths.sort((a, b) => a - b)).toEqual(['no room\n'.length, BODY_BYTES, BODY_BYTES]);
  expect(server.gauges).toMatchObject({ streams: 0, incomingBytes: 0, unreadBytes: 0 });
});
