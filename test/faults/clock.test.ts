/** A wall clock that is set while the server runs: no duration notices. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { InferenceClient, type RolloutState } from '../../src/client/inference-client.ts';
import { loopModel, offsetModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { RolloutLoad } from '../support/rollout-load.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { readReadiness } from './observation.ts';
import { Traffic } from './traffic.ts';

const PROBE = new URL('clock-jump.ts', import.meta.url);
const JUMPS = ['10', '-100', '24000'];
const OFFSETS = { 1: 0, 2: 0.125 };
const PATIENCE = { timeout: 60_000, interval: 20 };

interface Jumping {
  readonly server: TestServer;
  /** Sets the clock of the server by the next of the jumps. */
  jump(): Promise<void>;
}

async function startJumping(repository: Repository, flags: readonly string[] = []): Promise<Jumping> {
  const jumped = path.join(temporaryDirectory(), 'jumped');
  const env = { NODE_OPTIONS: `--import=${PROBE}`, CLOCK_JUMPS: JUMPS.join(' '), CLOCK_JUMPED: jumped };
  const server = await startServer(repository.directory, { flags, env });
  let count = 0;
  const jump = async (): Promise<void> => {
    process.kill(server.pid, 'SIGUSR2');
    count++;
    await vi.waitUntil(() => fs.existsSync(`${jumped}.${count}`), PATIENCE);
  };
  return { server, jump };
}

test('the hold of a rollout is neither shortened nor prolonged', async () => {
  const versions = { 1: offsetModel(OFFSETS[1]), 2: offsetModel(OFFSETS[2]) };
  const config = { tensorgate: { traffic: { split: { 1: 100 } } }, instance_group: [{ count: 1 }] };
  using repository = new Repository({ m: { versions, config } });
  const { server, jump } = await startJumping(repository, ['--model-control-mode', 'explicit', '--load-model', '*']);
  await using _ = server;
  using client = new InferenceClient(server.grpc, { deadlineMs: 30_000 });
  await using load = new RolloutLoad(server.grpc, OFFSETS);
  const until = (wanted: (state: RolloutState) => boolean): Promise<RolloutState> =>
    vi.waitUntil(async () => {
      const [state] = await client.rollouts('m');
      return state !== undefined && wanted(state) ? state : undefined;
    }, PATIENCE);
  const isHolding = ({ stage, detail }: RolloutState): boolean => stage === 'canary' && detail.endsWith(' s left');
  const leftSeconds = ({ detail }: RolloutState): number => Number(/, (\d+) s left$/.exec(detail)?.[1]);

  await client.startRollout('m', '2', {
    shadowShare: 1,
    comparisons: 10,
    requests: 1,
    maxP99Ratio: 1_000,
    holdMs: 3_600_000,
  });
  let before = await until(isHolding);
  for (const _ of JUMPS) {
    await jump();
    // The server has looked at the clock since: it has seen more requests.
    const seen = before.evidence?.toAnswered ?? 0;
    const after = await until((state) => state.stage !== 'canary' || (state.evidence?.toAnswered ?? 0) > seen + 5);
    expect(after).toMatchObject({ stage: 'canary', percent: before.percent });
    const settled = await until(isHolding);
    // It goes on from where it was: a little less than an hour.
    expect(leftSeconds(settled)).toBeLessThanOrEqual(leftSeconds(before));
    expect(leftSeconds(settled)).toBeGreaterThan(3_000);
    before = settled;
  }
  await load.stop();
  expect(load.faults).toEqual([]);
}, 120_000);

test('no call is late or early, no runner counts as hung, and one that dies is replaced', async () => {
  using repository = new Repository({
    loop: { versions: { 1: loopModel() }, config: { instance_group: [{ count: 1 }] } },
  });
  const { server, jump } = await startJumping(repository);
  await using _ = server;
  const [first] = server.runnerPids();
  await using traffic = new Traffic(server, { iterations: 100, inFlight: 16 });
  for (const _ of JUMPS) {
    await traffic.more(100);
    await jump();
    await traffic.more(200);
  }
  expect(server.runnerPids()).toEqual([first]);
  process.kill(first ?? Number.NaN, 'SIGKILL');
  await traffic.more(500);
  await traffic.stop();
  expect(traffic.faults).toEqual([]);
  expect(await readReadiness(server)).toEqual({ code: 200, text: 'ready\n' });
}, 120_000);
