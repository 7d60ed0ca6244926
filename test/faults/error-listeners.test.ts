/** Everything that is open in a server has a listener for errors, while it is under load and its runners die. */

import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { TRANSPORTS } from '../interop/transports.ts';
import { loopModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { Traffic } from './traffic.ts';

const PROBE = new URL('error-listeners.ts', import.meta.url);
const LOOKS = 30;
const MODEL = { versions: { 1: loopModel() }, config: { instance_group: [{ count: 2 }] } };

test.each(TRANSPORTS)(
  '$name: nothing that is open is without a listener to its error',
  async ({ name }) => {
    const file = path.join(temporaryDirectory(), 'listeners');
    using repository = new Repository({ loop: MODEL });
    await using server = await startServer(repository.directory, {
      flags: ['--log-level', 'error', '--transport', name],
      env: { NODE_OPTIONS: `--import=${PROBE}`, ERROR_LISTENERS: file },
    });
    // Some that never say what they are.
    for (const port of [server.grpcPort, server.httpPort]) {
      const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
      onTestFinished(() => void socket.destroy());
    }
    await using traffic = new Traffic(server, { iterations: 50, inFlight: 12 });
    const lines = (): string[] => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').slice(0, -1) : []);
    for (let look = 1; look <= LOOKS; look++) {
      if (look % 10 === 0) process.kill(server.runnerPids()[0] ?? Number.NaN, 'SIGKILL');
      process.kill(server.pid, 'SIGUSR2');
      await vi.waitUntil(() => lines().length === look, { timeout: 20_000, interval: 1 });
      await traffic.more(10);
    }
    // Two listeners, a runner with its pipes, channels, and callers.
    for (const line of lines()) expect(line).toMatch(/^\d+ open$/);
    expect(Math.max(...lines().map((line) => Number.parseInt(line, 10)))).toBeGreaterThan(10);
  },
  90_000,
);
