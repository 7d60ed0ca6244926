/** Runners that die while the system has no descriptor, process or memory to give: the gateway lives, and serves again when it has. */

import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { loopModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { killEach, startServer, type TestServer } from '../support/server.ts';
import { StockClient } from '../support/stock-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { askLoop, failureOf, loopInputs } from './loop-requests.ts';
import { heldMailboxes, readReadiness } from './observation.ts';

const hasPrlimit = fs.existsSync('/usr/bin/prlimit');
if (!hasPrlimit) console.warn('SKIPPED: prlimit, of util-linux, is not installed');
/** Its limits hold for others than the super-user only. */
const NOBODY = 65_534;
const runsAsNobody =
  spawnSync('setpriv', [...asNobody(), process.execPath, import.meta.filename.replace(/[^/]+$/, 'heap-probe.ts')])
    .status === 0;
if (!runsAsNobody)
  console.warn('SKIPPED: a server cannot be started as another user here, whose processes are limited');

const PATIENCE = { timeout: 40_000, interval: 20 };
const MODEL = { versions: { 1: loopModel() }, config: { instance_group: [{ count: 1 }] } };

function asNobody(): string[] {
  return [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
}

/** The soft limit of a server's process: a hard one cannot be raised again. Only its own user may set it. */
function setLimit({ pid }: TestServer, resource: 'nofile' | 'nproc', limit: number, as: readonly string[] = []): void {
  const command = ['prlimit', '--pid', String(pid), `--${resource}=${limit}:`];
  execFileSync('/usr/bin/env', as.length === 0 ? command : ['setpriv', ...as, ...command]);
}

/** A shortage, from its begin to its end. */
interface Shortage {
  readonly server: TestServer;
  begin(): void;
  end(): void;
  /** What the reason of a model says of it. */
  readonly reason: RegExp;
}

async function start(
  options: Parameters<typeof startServer>[1],
  rest: (server: TestServer) => Omit<Shortage, 'server'>,
): Promise<Shortage> {
  // Two, each in a process of its own.
  const repository = new Repository({ loop: MODEL, other: MODEL });
  onTestFinished(() => repository[Symbol.dispose]());
  execFileSync('chmod', ['-R', 'a+rX', repository.directory]);
  const server = await startServer(repository.directory, options);
  onTestFinished(() => server.stop());
  return { server, ...rest(server) };
}

/** By a stand-in: see process-shortage.ts. */
function refused(code: string): Promise<Shortage> {
  const env = {
    NODE_OPTIONS: `--import=${new URL('process-shortage.ts', import.meta.url)}`,
    PROCESS_SHORTAGE: code,
  };
  return start({ env }, (server) => {
    const toggle = (): void => void process.kill(server.pid, 'SIGUSR2');
    return { begin: toggle, end: toggle, reason: new RegExp(`could not be started: ${code}`) };
  });
}

const SHORTAGES: readonly { readonly name: string; readonly isPossible: boolean; start(): Promise<Shortage> }[] = [
  {
    name: 'EMFILE: no descriptor, by the limit of the process',
    isPossible: hasPrlimit,
    start: () =>
      start({}, (server) => ({
        // Those that are open stay.
        begin: () => setLimit(server, 'nofile', 10),
        end: () => setLimit(server, 'nofile', 4_096),
        reason: /EMFILE/,
      })),
  },
  {
    name: 'EAGAIN: no process, by the limit of the user',
    isPossible: hasPrlimit && runsAsNobody,
    start: () => {
      const program = new URL('../../src/cli/main.ts', import.meta.url).pathname;
      return start({ command: ['setpriv', ...asNobody(), process.execPath, program] }, (server) => ({
        begin: () => setLimit(server, 'nproc', 1, asNobody()),
        end: () => setLimit(server, 'nproc', 4_096, asNobody()),
        reason: /could not be started: EAGAIN/,
      }));
    },
  },
  ...['ENFILE', 'ENOMEM', 'EAGAIN'].map((code) => ({
    name: `${code}, by a stand-in`,
    isPossible: true,
    start: () => refused(code),
  })),
];

describe.each(SHORTAGES)('$name', ({ isPossible, start: startWith }) => {
  test.skipIf(!isPossible)(
    'runners that die are started again when there is one to give',
    async () => {
      const { server, begin, end, reason } = await startWith();
      using client = new InferenceClient(server.grpc, { deadlineMs: 40_000 });
      using stock = new StockClient(server.grpc);
      // Both have their connections before the shortage.
      expect(await askLoop(client, 1)).toBe(1);
      expect(await stock.call('ServerLive')).toEqual({ live: true });
      const mailboxes = heldMailboxes(server.pid);

      begin();
      killEach(server.runnerPids());
      for (const model of ['loop', 'other']) {
        const refusal = await vi.waitUntil(async () => {
          const failure = await failureOf(client.infer(model, loopInputs(2), { deadlineMs: 100 }));
          return /restarting: attempt ([3-9]|\d\d)/.test(failure.details) ? failure : undefined;
        }, PATIENCE);
        expect(refusal.status).toBe('UNAVAILABLE');
        expect(refusal.details).toMatch(new RegExp(`^model '${model}' version 1 is not at ready state: restarting: `));
        expect(refusal.details).toMatch(reason);
        expect(refusal.pushbackMs).toBeGreaterThan(0);
      }
      expect(server.runnerPids()).toEqual([]);
      expect(await stock.call('ServerLive')).toEqual({ live: true });
      const patient = askLoop(client, 3);

      end();
      expect(await patient).toBe(3);
      await vi.waitUntil(async () => (await readReadiness(server)).code === 200, PATIENCE);
      expect(server.runnerPids()).toHaveLength(2);
      expect(heldMailboxes(server.pid)).toBe(mailboxes);
    },
    120_000,
  );
});

const small = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-inodes-'));
/** Room for the mailboxes of two models, and for nothing else. */
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,nr_inodes=8', 'tmpfs', small]);
if (mounted.status !== 0) {
  fs.rmdirSync(small);
  console.warn(`SKIPPED: no small tmpfs can be mounted here: ${mounted.stderr ?? mounted.error}`);
}

// The servers that hold files in it have ended by then; also where the test was not asked for.
afterAll(() => {
  if (mounted.status !== 0) return;
  spawnSync('umount', [small]);
  fs.rmdirSync(small);
});

test.skipIf(mounted.status !== 0)(
  'ENOSPC: runners that die while their mailboxes have no place are started again when there is one',
  async () => {
    const fillers: string[] = [];
    const { server, begin, end, reason } = await start({ flags: ['--mailbox-directory', small] }, () => ({
      begin: () => {
        for (;;) {
          const filler = path.join(small, `filler-${fillers.length}`);
          try {
            fs.writeFileSync(filler, '');
          } catch {
            return;
          }
          fillers.push(filler);
        }
      },
      end: () => {
        for (const filler of fillers) fs.rmSync(filler);
      },
      reason: /ENOSPC/,
    }));
    using client = new InferenceClient(server.grpc, { deadlineMs: 40_000 });
    expect(await askLoop(client, 1)).toBe(1);
    killEach(server.runnerPids());
    // What their mailboxes took is free with their end: now it is taken.
    const filling = setInterval(begin, 1);
    await vi
      .waitUntil(async () => reason.test((await readReadiness(server)).text), PATIENCE)
      .finally(() => clearInterval(filling));
    const patient = askLoop(client, 2);
    end();
    expect(await patient).toBe(2);
    await vi.waitUntil(async () => (await readReadiness(server)).code === 200, PATIENCE);
  },
  120_000,
);

describe.skipIf(!hasPrlimit)('without a descriptor', () => {
  /** A connection to the HTTP port that stays. */
  class Page {
    readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    readonly #base: string;

    constructor(base: string) {
      this.#base = base;
      onTestFinished(() => this.#agent.destroy());
    }

    read(page: string): Promise<number> {
      return new Promise((resolve, reject) => {
        http
          .get(`${this.#base}${page}`, { agent: this.#agent }, (response) => {
            response.resume();
            response.on('end', () => resolve(response.statusCode ?? 0));
          })
          .on('error', reject);
      });
    }
  }

  test('loads, rollouts, records and scrapes fail or go on, each by itself, and nothing ends the gateway', async () => {
    const directory = temporaryDirectory();
    using repository = new Repository({ loop: { versions: { 1: loopModel(), 2: loopModel() }, config: MODEL.config } });
    repository.add('other', MODEL);
    await using server = await startServer(repository.directory, {
      flags: [
        ...['--model-control-mode', 'explicit', '--load-model', 'loop', '--log-level', 'error'],
        ...['--record', '1000', '--record-directory', directory],
      ],
    });
    using client = new InferenceClient(server.grpc, { deadlineMs: 40_000 });
    using stock = new StockClient(server.grpc);
    const page = new Page(server.http);
    expect(await askLoop(client, 1)).toBe(1);
    expect(await page.read('/metrics')).toBe(200);
    expect(await stock.call('ServerLive')).toEqual({ live: true });

    setLimit(server, 'nofile', 10);
    for (const model of ['other', 'loop']) {
      expect((await stock.refusal('RepositoryModelLoad', { model_name: model })).code).not.toBe('OK');
    }
    await expect(client.startRollout('loop', '1')).rejects.toThrow();
    // Rows of these are to be recorded.
    for (let value = 0; value < 20; value++) expect(await askLoop(client, value)).toBe(value);
    expect(await page.read('/metrics')).toBe(200);
    expect(await page.read('/livez')).toBe(200);

    setLimit(server, 'nofile', 4_096);
    for (const model of ['other', 'loop']) await stock.call('RepositoryModelLoad', { model_name: model });
    for (let value = 0; value < 20; value++) expect(await askLoop(client, value)).toBe(value);
    await vi.waitUntil(() => fs.existsSync(path.join(directory, 'loop')), PATIENCE);
    expect(await readReadiness(server)).toEqual({ code: 200, text: 'ready\n' });
  }, 120_000);

  test('a repository that is polled is not taken for an empty one', async () => {
    using repository = new Repository({ loop: MODEL });
    await using server = await startServer(repository.directory, {
      flags: ['--model-control-mode', 'poll', '--repository-poll-secs', '1', '--log-level', 'error'],
    });
    using client = new InferenceClient(server.grpc, { deadlineMs: 40_000 });
    expect(await askLoop(client, 1)).toBe(1);
    const runners = server.runnerPids();
    setLimit(server, 'nofile', 10);
    // Looks at the repository.
    const until = performance.now() + 4_000;
    for (let value = 0; performance.now() < until; value++) expect(await askLoop(client, value)).toBe(value);
    setLimit(server, 'nofile', 4_096);
    expect(await readReadiness(server)).toEqual({ code: 200, text: 'ready\n' });
    expect(server.runnerPids()).toEqual(runners);
  }, 60_000);
});
