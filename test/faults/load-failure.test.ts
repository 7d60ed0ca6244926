/** Models that do not load: each is reported by name and reason, and the others serve. */

import fs from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { float8Model } from '../support/exported-models.ts';
import { loopModel, mlpModel } from '../support/onnx-models.ts';
import { isAlive } from '../support/process-tree.ts';
import { Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { askLoop, failureOf, loopInputs } from './loop-requests.ts';
import { namedMailboxes, readMetrics, readReadiness } from './observation.ts';
import { ServerProcess } from './server-process.ts';

const ONE_INSTANCE = { instance_group: [{ count: 1 }] };
const WHOLE = mlpModel();

/** What is wrong with each model, and what has to be said of it. */
const BROKEN = {
  garbage: {
    model: Buffer.alloc(4_096, 'not a model '),
    reason: /garbage\/1\/model\.onnx is a text file that begins with "not a model/,
  },
  'cut-in-half': { model: WHOLE.subarray(0, WHOLE.length / 2), reason: /cut-in-half\/1\/model\.onnx/ },
  'cut-of-a-byte': { model: WHOLE.subarray(0, -1), reason: /cut-of-a-byte\/1\/model\.onnx/ },
  'cut-to-a-byte': { model: WHOLE.subarray(0, 1), reason: /cut-to-a-byte\/1\/model\.onnx/ },
  'cut-to-nothing': {
    model: WHOLE.subarray(0, 0),
    reason: /cut-to-nothing\/1\/model\.onnx|ModelProto does not have a graph/,
  },
  float8: { model: float8Model(), reason: /output 'y' is a tensor of FLOAT8E4M3FN: cast it to a datatype/ },
} as const;

describe('a repository with one intact model and several broken ones', () => {
  let repository: Repository;
  let server: TestServer;
  let client: InferenceClient;

  beforeAll(async () => {
    repository = new Repository({ loop: { versions: { 1: loopModel() }, config: ONE_INSTANCE } });
    for (const [name, { model }] of Object.entries(BROKEN)) repository.add(name, model);
    repository.add('missing', { versions: { 1: WHOLE }, config: { default_model_filename: 'other.onnx' } });
    repository.add('misconfigured', {
      versions: { 1: WHOLE },
      files: { 'config.yaml': 'max_batch_size: 8\ninstance_group:\n  - cuont: 2\n' },
    });
    server = await startServer(repository.directory);
    client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
  });

  afterAll(async () => {
    client.close();
    await server.stop();
    repository[Symbol.dispose]();
  });

  const cases: [name: string, reason: RegExp][] = [
    ...Object.entries(BROKEN).map(([name, { reason }]): [string, RegExp] => [name, reason]),
    ['missing', /missing\/1\/other\.onnx does not exist/],
    ['misconfigured', /misconfigured\/config\.yaml:3:\d+: instance_group\.0\.cuont: .*; did you mean 'count'\?/],
  ];

  test.each(cases)('%s is not served, and everything that is asked for it says why', async (name, reason) => {
    const line = server.lines.find((each) => each.startsWith(`${name} `) || each.startsWith(`${name}:`));
    expect(line).toMatch(new RegExp(`^${name}( version 1)?: UNAVAILABLE: `));
    expect(line).toMatch(reason);
    const readiness = await readReadiness(server);
    expect(readiness.code).toBe(503);
    const obstacle = readiness.text.split('\n').find((each) => each.startsWith(`model ${name} `));
    expect(obstacle).toMatch(new RegExp(`^model ${name}( version 1)? is UNAVAILABLE: `));
    expect(obstacle).toMatch(reason);
    expect(await client.modelReady(name)).toBe(false);
    const failure = await failureOf(client.infer(name, loopInputs(1)));
    expect(failure.status).toBe('UNAVAILABLE');
    expect(failure.details).toMatch(new RegExp(`^model '${name}'( version 1)? is not at ready state: `));
    expect(failure.details).toMatch(reason);
  });

  test('nothing else is reported, and the whole model serves', async () => {
    const requests = server.lines.filter((line) => /^(try|or): /.test(line));
    expect(requests.every((line) => line.includes('loop'))).toBe(true);
    expect(server.lines).toHaveLength(cases.length + 1 + requests.length);
    expect((await readReadiness(server)).text.trimEnd().split('\n')).toHaveLength(cases.length);
    expect(server.lines).toContainEqual(expect.stringMatching(/^loop version 1: 1 instance on cpu, batching on/));
    expect(await client.modelReady('loop')).toBe(true);
    expect(await client.serverReady()).toBe(false);
    expect(await askLoop(client, 3)).toBe(3);
  });

  test('the runners of those that failed are gone, and so are their mailboxes', () => {
    expect(server.runnerPids()).toHaveLength(1);
    expect(namedMailboxes(server.pid)).toEqual([]);
  });
});

describe('a runner', () => {
  /** A child that has not yet started its program would hold up its parent. */
  function isRunner(pid: number): boolean {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/worker/runner.');
  }

  /** Does `fault` to the runner of the only model as soon as there is one: it takes a tenth of a second to load anything. */
  async function startWith(fault: NodeJS.Signals, flags: readonly string[] = []): Promise<string> {
    using repository = new Repository({ loop: { versions: { 1: loopModel() }, config: ONE_INSTANCE } });
    await using server = new ServerProcess(repository.directory, flags);
    const runner = await vi.waitUntil(() => server.runnerPids().find(isRunner), { timeout: 20_000, interval: 1 });
    process.kill(runner, fault);
    const addresses = await server.ready;
    const [line = ''] = server.lines;
    expect(await readReadiness(addresses)).toEqual({ code: 503, text: `model loop version 1 is ${line.slice(16)}\n` });
    await vi.waitUntil(() => !isAlive(runner), { timeout: 2_000, interval: 5 });
    // It is not tried again: neither at once, nor after the first pauses of a runner that died in service.
    const until = performance.now() + 1_000;
    while (performance.now() < until) {
      expect(server.runnerPids().filter(isAlive)).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await readMetrics(addresses))('tensorgate_runner_restarts_total', { runner: 'loop:1' })).toBe(0);
    expect(namedMailboxes(server.pid)).toEqual([]);
    server.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    return line;
  }

  test('that dies while it loads a model makes it UNAVAILABLE, and is not started again', async () => {
    expect(await startWith('SIGKILL')).toBe(
      'loop version 1: UNAVAILABLE: the runner ended while loading the model: killed by SIGKILL',
    );
  });

  test('that hangs while it loads a model is killed at the limit, and is not started again', async () => {
    expect(await startWith('SIGSTOP', ['--runner-start-timeout-ms', '500'])).toBe(
      'loop version 1: UNAVAILABLE: the runner ended while loading the model: no answer within 500 ms, which is the limit for a load (--runner-start-timeout-ms): raise it if the model is large or its disk slow',
    );
  });
});
