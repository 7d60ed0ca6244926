/** A server that has no file descriptor left: who is connected is served, and others again when there is one. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { expect, test } from 'vitest';
import { TRANSPORTS } from '../interop/transports.ts';
import { identityModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { StockClient } from '../support/stock-client.ts';

const hasPrlimit = fs.existsSync('/usr/bin/prlimit');
if (!hasPrlimit) console.warn('SKIPPED: prlimit, of util-linux, is not installed');

/** Descriptors that are left for connections. */
const ROOM = 20;

test.skipIf(!hasPrlimit).each(TRANSPORTS)(
  '$name outlives a hundred connections that it has no room for',
  async ({ name }) => {
    using repository = new Repository({ echo: identityModel('FP32') });
    await using server = await startServer(repository.directory, {
      flags: ['--log-level', 'error', '--transport', name],
    });
    using client = new StockClient(server.grpc);
    const request = {
      model_name: 'echo',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4] }],
      raw_input_contents: [Buffer.alloc(16, 1)],
    };
    const ask = async (one: StockClient): Promise<Buffer> => (await one.infer(request))['raw_output_contents'][0];
    expect(await ask(client)).toEqual(Buffer.alloc(16, 1));

    const open = fs.readdirSync(`/proc/${server.pid}/fd`).length;
    execFileSync('prlimit', ['--pid', String(server.pid), `--nofile=${open + ROOM}`]);
    const sockets = Array.from({ length: 100 }, () => net.connect(server.grpcPort, '127.0.0.1'));
    for (const socket of sockets) socket.on('error', () => undefined);
    // The system accepts them for the server, which may close them again at once.
    await Promise.all(
      sockets.map((socket) => (socket.destroyed ? undefined : once(socket, 'connect').catch(() => undefined))),
    );
    for (let call = 0; call < 20; call++) expect(await ask(client)).toEqual(Buffer.alloc(16, 1));
    // All of them are taken, or nothing was tried.
    expect(fs.readdirSync(`/proc/${server.pid}/fd`).length).toBeGreaterThanOrEqual(open + ROOM - 2);

    for (const socket of sockets) socket.destroy();
    await expect
      .poll(
        async () => {
          using late = new StockClient(server.grpc);
          return await ask(late).catch(() => undefined);
        },
        { timeout: 20_000 },
      )
      .toEqual(Buffer.alloc(16, 1));
  },
);
