/**
 * Faults at random, from several peers at once, against a running server: its good clients notice nothing, and nothing is
 * left of it. `SOAK_SECONDS=600` makes it ten minutes, with the same bounds; `SOAK_SEED` repeats the choices of a run.
 */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { MODELS } from '../interop/documented.ts';
import { TRANSPORTS } from '../interop/transports.ts';
import { ACCEPTORS } from '../support/acceptors.ts';
import { memoryOfTree } from '../support/process-tree.ts';
import { output } from '../support/run-program.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { readMetrics } from './observation.ts';
import type { SoakReport } from './transport-soak.ts';

const SECONDS = Number(process.env['SOAK_SECONDS'] ?? 20);
const SEED = Number(process.env['SOAK_SEED'] ?? Date.now() % 1_000_000);
const PROBE = new URL('heap-probe.ts', import.meta.url);
const SOAK = fileURLToPath(new URL('transport-soak.ts', import.meta.url));
/** In this much of it the heaps and caches get the size that they need. */
const WARM_SECONDS = Math.max(5, SECONDS / 10);
/**
 * Memory in use in the server after a collection: compiled code, mostly, which still grows for a minute and then no more; of calls
 * that other threads accept, more of it. A server that keeps every connection that was closed gains 24 MiB in the shortest run.
 */
const MAX_GROWN_BYTES = (ACCEPTORS === 1 ? 8 : 16) * 2 ** 20;
/** What the system has given to the server and its runners, and a heap keeps for its next need. */
const MAX_GROWN_RESIDENT_BYTES = 320 * 2 ** 20;
/** Descriptors of the server: the connections by which its metrics are read. */
const MAX_GROWN_HANDLES = 2;

interface State {
  readonly handles: number;
  readonly bytes: number;
  readonly residentBytes: number;
  readonly runners: readonly number[];
}

/** Resolves when all its clients are gone. */
async function soak({ grpcPort, httpPort }: TestServer, seconds: number, seed: number): Promise<SoakReport> {
  return JSON.parse(await output(process.execPath, [SOAK, ...[grpcPort, httpPort, seconds, seed].map(String)]));
}

/** Waits until the server has nothing to do, and says what it holds then. */
async function settle(server: TestServer, probeFile: string): Promise<State> {
  await vi.waitUntil(
    async () => {
      const metrics = await readMetrics(server);
      return metrics('tensorgate_in_flight_requests') === 0 && metrics('tensorgate_in_flight_bytes') === 0;
    },
    { timeout: 30_000, interval: 50 },
  );
  fs.rmSync(probeFile, { force: true });
  process.kill(server.pid, 'SIGUSR2');
  await vi.waitUntil(() => fs.existsSync(probeFile), { timeout: 30_000, interval: 50 });
  return {
    handles: fs.readdirSync(`/proc/${server.pid}/fd`).length,
    bytes: Number(fs.readFileSync(probeFile, 'utf8')),
    residentBytes: memoryOfTree(server.pid),
    runners: server.runnerPids(),
  };
}

/** Only ours has more than one acceptor. */
const JUDGED = TRANSPORTS.map(({ name }) => name).filter((name) => name === 'h2' || ACCEPTORS === 1);

test.each(JUDGED)(
  `the transport %s survives ${SECONDS} s of faults`,
  async (transport) => {
    const probeFile = path.join(temporaryDirectory(), 'heap');
    const server = await startServer(MODELS, {
      flags: ['--log-level', 'error'],
      env: { TENSORGATE_TRANSPORT: transport, NODE_OPTIONS: `--import=${PROBE}`, HEAP_PROBE_FILE: probeFile },
    });
    try {
      const warm = await soak(server, WARM_SECONDS, SEED);
      const before = await settle(server, probeFile);

      const { answered, wrong, faults } = await soak(server, SECONDS - WARM_SECONDS, SEED + 1_000);

      const label = `the seed was ${SEED}`;
      // The remains are worth knowing also where an answer was wrong.
      expect.soft([...warm.wrong, ...wrong], label).toEqual([]);
      expect(answered, label).toBeGreaterThan(SECONDS);
      for (const [fault, times] of Object.entries(faults)) expect(times, `${label}: ${fault}`).toBeGreaterThan(0);
      await vi.waitFor(
        async () => {
          const after = await settle(server, probeFile);
          expect(after.runners, label).toEqual(before.runners);
          expect(after.handles, label).toBeLessThanOrEqual(before.handles + MAX_GROWN_HANDLES);
          expect(after.bytes, label).toBeLessThan(before.bytes + MAX_GROWN_BYTES);
          expect(after.residentBytes, label).toBeLessThan(before.residentBytes + MAX_GROWN_RESIDENT_BYTES);
        },
        { timeout: 60_000, interval: 500 },
      );
    } finally {
      await server.stop();
    }
    expect(await server.log).toBe('');
  },
  SECONDS * 1_000 + 240_000,
);
