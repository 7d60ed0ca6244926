/** A server that is killed in the middle of a rollout, and the next one on the same repository. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { InferenceClient, type RolloutState } from '../../src/client/inference-client.ts';
import { offsetModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { RolloutLoad } from '../support/rollout-load.ts';
import { ServerProcess } from './server-process.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const PATIENCE = { timeout: 60_000, interval: 50 };
const OFFSETS = { 1: 0, 2: 0.125 };
const EXPLICIT = ['--model-control-mode', 'explicit', '--load-model', '*', '--log-level', 'info'];

function servedTwice(): Repository {
  const versions = { 1: offsetModel(OFFSETS[1]), 2: offsetModel(OFFSETS[2]) };
  const config = { tensorgate: { traffic: { split: { 1: 100 } } }, instance_group: [{ count: 1, kind: 'KIND_CPU' }] };
  const repository = new Repository({ m: { versions, config } });
  onTestFinished(() => repository[Symbol.dispose]());
  return repository;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function serve(
  repository: Repository,
  flags: readonly string[] = [],
): Promise<{ process: ServerProcess; grpc: string }> {
  const process = new ServerProcess(repository.directory, [...EXPLICIT, ...flags]);
  const { grpc } = await process.ready;
  return { process, grpc };
}

async function stateAt(grpc: string): Promise<RolloutState | undefined> {
  using client = new InferenceClient(grpc, { deadlineMs: 30_000 });
  return (await client.rollouts('m'))[0];
}

function until(grpc: string, wanted: (state: RolloutState) => boolean): Promise<RolloutState> {
  return vi.waitUntil(async () => {
    const state = await stateAt(grpc);
    return state !== undefined && wanted(state) ? state : undefined;
  }, PATIENCE);
}

const OPTIONS = { shadowShare: 1, comparisons: 30, requests: 10, maxP99Ratio: 1_000 };

/** Time limit for several programs on a busy machine. */
const LONG = { timeout: 180_000 };

describe('kill -9 of the server in the middle of a rollout', LONG, () => {
  test.each([
    ['in the shadow', 0, 'shadow', { ...OPTIONS, comparisons: 1_000_000_000 }],
    ['at 10 %', 10, 'canary', { ...OPTIONS, holdMs: 1_500 }],
  ] as const)('is followed by the recorded step: %s', async (_, percent, stage, options) => {
    const repository = servedTwice();
    const file = path.join(repository.directory, '.tensorgate/rollouts/m.json');
    const first = await serve(repository);
    {
      const load = new RolloutLoad(first.grpc, OFFSETS);
      using client = new InferenceClient(first.grpc);
      await client.startRollout('m', '2', options);
      await until(first.grpc, (state) => state.stage === stage && state.percent === percent);
      first.process.kill('SIGKILL');
      expect(await first.process.ended).toEqual({ code: null, signal: 'SIGKILL' });
      // The calls that it took with it are not the rollout's.
      await load.stop();
    }
    const recorded = JSON.parse(fs.readFileSync(file, 'utf8'));
    expect(recorded.stage.kind).toBe(stage);

    const second = await serve(repository);
    const resumed = await stateAt(second.grpc);
    expect(resumed).toMatchObject({ stage, percent, from: '1', to: '2', comparisons: options.comparisons });
    expect(resumed?.events.at(-1)?.text).toBe(
      `taken up again after a start of the server, at ${stage === 'shadow' ? 'shadow of 100 %' : `canary at ${percent} %`}`,
    );
    // Observations from before the kill no longer count.
    expect(resumed?.evidence?.toAnswered).toBe(0);
    const load = new RolloutLoad(second.grpc, OFFSETS);
    if (stage === 'shadow') {
      await until(second.grpc, ({ evidence }) => (evidence?.compared ?? 0) > 10);
      await load.stop();
      expect(Object.keys(load.answers)).toEqual(['1']);
    } else {
      const promoted = await until(second.grpc, (state) => state.stage === 'promoted');
      await load.stop();
      expect(promoted.events.map(({ text }) => text.split(':')[0])).toEqual([
        'begun',
        'shadow of 100 %',
        'canary at 1 %',
        'canary at 10 %',
        'taken up again after a start of the server, at canary at 10 %',
        'canary at 50 %',
        'canary at 100 %',
        'promoted',
      ]);
    }
    expect(load.faults).toEqual([]);
  });

  test('is waited for by the command, which ends well', async () => {
    const repository = servedTwice();
    const port = ['--grpc-port', String(await freePort())];
    const first = await serve(repository, port);
    let load = new RolloutLoad(first.grpc, OFFSETS);
    const flags = [
      '--shadow-share',
      '1',
      '--comparisons',
      '30',
      '--requests',
      '10',
      '--hold',
      '2s',
      '--max-p99-ratio',
      '1000',
    ];
    const command = spawn(process.execPath, [PROGRAM, 'rollout', 'm', '--to', '2', ...flags, '--url', first.grpc]);
    onTestFinished(() => void command.kill('SIGKILL'));
    const ended = once(command, 'exit');
    const printed = text(command.stdout);
    await until(first.grpc, ({ stage }) => stage === 'canary');
    first.process.kill('SIGKILL');
    await first.process.ended;
    await load.stop();
    const second = await serve(repository, port);
    load = new RolloutLoad(second.grpc, OFFSETS);
    expect(await ended).toEqual([0, null]);
    await load.stop();
    expect(load.faults).toEqual([]);
    expect(await printed).toMatch(
      /taken up again after a start of the server, at canary at \d+ %\n[\s\S]*promoted: .*\nversion 2 of m answers\n/,
    );
  });

  test('whose files were replaced meanwhile ends it', async () => {
    const repository = servedTwice();
    const first = await serve(repository);
    const load = new RolloutLoad(first.grpc, OFFSETS);
    {
      using client = new InferenceClient(first.grpc);
      await client.startRollout('m', '2', { ...OPTIONS, holdMs: 600_000 });
    }
    await until(first.grpc, ({ stage }) => stage === 'canary');
    first.process.kill('SIGKILL');
    await first.process.ended;
    await load.stop();
    repository.publish('m', 2, offsetModel(7));
    const second = await serve(repository);
    const back = await until(second.grpc, ({ stage }) => stage === 'rolled_back');
    expect(back).toMatchObject({
      cause: 'changed',
      percent: 0,
      detail: 'rolled back (changed): the files of version 2 are not those that the rollout began with',
    });
  });
});
