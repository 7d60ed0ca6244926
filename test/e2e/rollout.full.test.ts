import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { InferenceClient, type RolloutOptions, type RolloutState, tensor } from '../../src/client/inference-client.ts';
import { runCommandLine } from '../cli/command-line.ts';
import { readMetrics } from '../faults/observation.ts';
import { accumulatorModel, offsetModel } from '../support/onnx-models.ts';
import { type ModelFiles, Repository } from '../support/repository.ts';
import { RolloutLoad } from '../support/rollout-load.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { StockClient } from '../support/stock-client.ts';

const PATIENCE = { timeout: 60_000, interval: 50 };
/** Time limit of tests with several programs, on a busy machine. */
const LONG = { timeout: 180_000 };
const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** Versions 1 and 2 mean the same, 3 says something else of every row. */
const OFFSETS = { 1: 0, 2: 0.125, 3: 1_000 };

const CONFIG = { version_policy: { all: {} }, instance_group: [{ count: 1, kind: 'KIND_CPU' }] };
const EXPLICIT = ['--model-control-mode', 'explicit', '--load-model', '*', '--log-level', 'info'];
/** Fast, and not about latency, which this machine's neighbours decide. */
const QUICK: RolloutOptions = { shadowShare: 1, comparisons: 30, holdMs: 100, requests: 10, maxP99Ratio: 1_000 };

function served(files: Partial<ModelFiles> = {}): Repository {
  return new Repository({ m: { versions: { 1: offsetModel(OFFSETS[1]) }, config: CONFIG, ...files } });
}

function publish(repository: Repository, version: 2 | 3): void {
  repository.publish('m', version, offsetModel(OFFSETS[version]));
}

/** With its own repository, which is gone with the test. */
async function serve(flags: readonly string[] = [], files: Partial<ModelFiles> = {}, mode = EXPLICIT) {
  const repository = served(files);
  const server = await startServer(repository.directory, { flags: [...mode, ...flags] });
  onTestFinished(async () => {
    await server.stop();
    repository[Symbol.dispose]();
  });
  const client = new InferenceClient(server.grpc, { deadlineMs: 30_000 });
  onTestFinished(() => client.close());
  return { repository, server, client };
}

async function until(client: InferenceClient, stage: RolloutState['stage'], model = 'm'): Promise<RolloutState> {
  return vi.waitUntil(async () => {
    const [state] = await client.rollouts(model);
    return state?.stage === stage ? state : undefined;
  }, PATIENCE);
}

async function versionsOf(client: InferenceClient, count = 20): Promise<string[]> {
  const seen = new Set<string>();
  for (let index = 0; index < count; index++) {
    seen.add((await client.infer('m', { input: tensor.fp32([1, 2, 3], [1, 3]) })).modelVersion);
  }
  return [...seen].sort();
}

function fileOf(repository: Repository): string {
  return path.join(repository.directory, '.tensorgate/rollouts/m.json');
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'it was not refused',
    (error) => `${error.status}: ${error.details}`,
  );
}

describe('under load', LONG, () => {
  test.each(['h2', 'grpc-js'])(
    'a version is loaded, shadowed, canaried and promoted, and no call fails (%s)',
    async (transport) => {
      const { repository, server, client } = await serve(['--transport', transport]);
      publish(repository, 2);
      const load = new RolloutLoad(server.grpc, OFFSETS);
      expect(await client.startRollout('m', '2', QUICK)).toMatchObject({
        model: 'm',
        from: '1',
        to: '2',
        stage: 'loading',
      });
      const promoted = await until(client, 'promoted');
      await load.stop();
      expect(load.faults).toEqual([]);
      expect(Object.keys(load.answers)).toEqual(['1', '2']);
      expect(promoted).toMatchObject({ percent: 100, cause: '', inForce: true, steps: [1, 10, 50, 100] });
      expect(promoted.events.map(({ text }) => text.split(':')[0])).toEqual([
        'begun',
        'shadow of 100 %',
        'canary at 1 %',
        'canary at 10 %',
        'canary at 50 %',
        'canary at 100 %',
        'promoted',
      ]);
      expect(await versionsOf(client)).toEqual(['2']);
      const metrics = await readMetrics(server);
      const labels = { model: 'm', from: '1', to: '2' };
      expect(metrics('tensorgate_rollout_percent', labels)).toBe(100);
      expect(metrics('tensorgate_rollout_changes_total', { ...labels, stage: 'promoted', cause: 'none' })).toBe(1);
      expect(metrics('tensorgate_requests_total', { model: 'm', version: '2', status: 'OK' })).toBeGreaterThan(40);
    },
  );

  test('a version that does not hold is rolled back, and no call fails', async () => {
    const { repository, server, client } = await serve();
    publish(repository, 3);
    const load = new RolloutLoad(server.grpc, OFFSETS);
    await client.startRollout('m', '3', QUICK);
    const back = await until(client, 'rolled_back');
    await load.stop();
    expect(load.faults).toEqual([]);
    // It was never asked.
    expect(Object.keys(load.answers)).toEqual(['1']);
    expect(back).toMatchObject({ percent: 0, cause: 'disagreement', inForce: true });
    expect(back.detail).toMatch(/^rolled back \(disagreement\): 0 % agree \(0 of \d+, at least 99 % must\)$/);
    const metrics = await readMetrics(server);
    const labels = { model: 'm', from: '1', to: '3', stage: 'rolled_back', cause: 'disagreement' };
    expect(metrics('tensorgate_rollout_changes_total', labels)).toBe(1);
    // It is the highest READY version, and yet only requests that name it get it.
    expect(await versionsOf(client)).toEqual(['1']);
    await server.stop();
    expect(await server.log).toContain(`"reason":"disagreement","msg":"rollout: ${back.detail}"`);
  });

  test('one that answers is rolled back by a word, and no call fails', async () => {
    const { repository, server, client } = await serve();
    publish(repository, 2);
    const load = new RolloutLoad(server.grpc, OFFSETS);
    await client.startRollout('m', '2', { ...QUICK, steps: [50, 100], holdMs: 600_000 });
    await until(client, 'canary');
    await vi.waitUntil(() => (load.answers['2'] ?? 0) > 50, PATIENCE);
    expect(await client.abortRollout('m')).toMatchObject({ stage: 'rolled_back', cause: 'aborted', percent: 0 });
    const answered = { ...load.answers };
    await vi.waitUntil(() => (load.answers['1'] ?? 0) > (answered['1'] ?? 0) + 50, PATIENCE);
    await load.stop();
    expect(load.faults).toEqual([]);
    // Those that were on their way.
    expect((load.answers['2'] ?? 0) - (answered['2'] ?? 0)).toBeLessThanOrEqual(4);
  });

  test('one that crashes in shadow is aborted', async () => {
    const { repository, server, client } = await serve(['--log-level', 'silent']);
    publish(repository, 2);
    const load = new RolloutLoad(server.grpc, OFFSETS);
    await client.startRollout('m', '2', { ...QUICK, comparisons: 1_000_000 });
    const shadowed = await until(client, 'shadow');
    expect(shadowed.percent).toBe(0);
    await vi.waitUntil(async () => ((await client.rollouts('m'))[0]?.evidence?.compared ?? 0) > 0, PATIENCE);
    const [, shadow = Number.NaN] = server.runnerPids();
    process.kill(shadow, 'SIGSEGV');
    const back = await until(client, 'rolled_back');
    await load.stop();
    expect(back).toMatchObject({
      cause: 'crashed',
      detail: expect.stringContaining('version 2 crashed: its process ended: killed by SIGSEGV'),
    });
    expect(load.faults).toEqual([]);
    expect(Object.keys(load.answers)).toEqual(['1']);
  });
});

describe('under load, while it answers', LONG, () => {
  test('a version that crashes is rolled back, and no call fails', async () => {
    const { repository, server, client } = await serve(['--log-level', 'silent']);
    publish(repository, 2);
    const load = new RolloutLoad(server.grpc, OFFSETS);
    await client.startRollout('m', '2', { ...QUICK, steps: [50, 100], holdMs: 600_000 });
    await until(client, 'canary');
    await vi.waitUntil(() => (load.answers['2'] ?? 0) > 50, PATIENCE);
    const [, canary = Number.NaN] = server.runnerPids();
    process.kill(canary, 'SIGKILL');
    expect(await until(client, 'rolled_back')).toMatchObject({ cause: 'crashed', percent: 0 });
    const answered = load.answers['1'] ?? 0;
    await vi.waitUntil(() => (load.answers['1'] ?? 0) > answered + 50, PATIENCE);
    await load.stop();
    // Requests in the dead process ran again in the next one.
    expect(load.faults).toEqual([]);
    expect(await versionsOf(client)).toEqual(['1']);
  });

  test('a step of an ensemble is rolled out with the requests of the ensemble', async () => {
    const tensors = (name: string) => [{ name, data_type: 'TYPE_FP32', dims: [3] }];
    const step = { model_name: 'm', model_version: -1, input_map: { input: 'in' }, output_map: { output: 'out' } };
    const graph = { platform: 'ensemble', max_batch_size: 8, input: tensors('in'), output: tensors('out') };
    const { repository, server, client } = await serve();
    repository.add('graph', {
      versions: { 1: undefined },
      config: { ...graph, ensemble_scheduling: { step: [step] } },
    });
    publish(repository, 2);
    const ask = async (model: string, input: string) =>
      (await client.infer(model, { [input]: tensor.fp32([0, 5, 9], [1, 3]) })).modelVersion;
    await client.startRollout('m', '2', { ...QUICK, steps: [50, 100] });
    await until(client, 'shadow');
    // Requests of ensembles are not copied, unlike all others.
    await vi.waitUntil(async () => {
      await ask('m', 'input');
      return (await client.rollouts('m'))[0]?.stage === 'canary';
    }, PATIENCE);
    using stock = new StockClient(server.grpc);
    await stock.call('RepositoryModelLoad', { model_name: 'graph' });
    await vi.waitUntil(async () => {
      await ask('graph', 'in');
      return (await client.rollouts('m'))[0]?.stage === 'promoted';
    }, PATIENCE);
    expect(await ask('m', 'input')).toBe('2');
  });
});

describe('recorded rollouts', LONG, () => {
  test('are continued by the next server: a promoted version serves, and a rolled-back version does not', async () => {
    using repository = served();
    const asked = async (work: (client: InferenceClient, server: TestServer) => Promise<void>): Promise<void> => {
      await using server = await startServer(repository.directory, { flags: EXPLICIT });
      using client = new InferenceClient(server.grpc, { deadlineMs: 30_000 });
      await work(client, server);
    };
    await asked(async (client, server) => {
      publish(repository, 2);
      await using _ = new RolloutLoad(server.grpc, OFFSETS);
      await client.startRollout('m', '2', QUICK);
      await until(client, 'promoted');
    });
    publish(repository, 3);
    await asked(async (client, server) => {
      // The state, and not that 3 is the highest that is READY.
      expect(await versionsOf(client)).toEqual(['2']);
      await using _ = new RolloutLoad(server.grpc, OFFSETS);
      await client.startRollout('m', '3', QUICK);
      await until(client, 'rolled_back');
    });
    await asked(async (client) => {
      expect(await versionsOf(client)).toEqual(['2']);
      expect(await client.rollouts('')).toMatchObject([{ model: 'm', from: '2', to: '3', stage: 'rolled_back' }]);
      await client.forgetRollout('m');
      expect(await client.rollouts('')).toEqual([]);
      expect(await versionsOf(client)).toEqual(['3']);
    });
    expect(fs.existsSync(fileOf(repository))).toBe(false);
  });

  test('ends with a configuration that says otherwise', async () => {
    const { repository, server, client } = await serve();
    publish(repository, 2);
    const load = new RolloutLoad(server.grpc, OFFSETS);
    await client.startRollout('m', '2', QUICK);
    await until(client, 'promoted');
    await load.stop();
    using stock = new StockClient(server.grpc);
    const split = (shares: object) => {
      const config = { ...CONFIG, tensorgate: { traffic: { split: shares } } };
      fs.writeFileSync(path.join(repository.directory, 'm/config.json'), JSON.stringify(config));
      return stock.call('RepositoryModelLoad', { model_name: 'm' });
    };
    await split({ 1: 100 });
    expect(await versionsOf(client)).toEqual(['1']);
    expect(await client.rollouts('m')).toMatchObject([{ stage: 'promoted', inForce: false }]);
    // One that runs is rolled back, and the configuration counts.
    await client.startRollout('m', '2', { ...QUICK, holdMs: 600_000 });
    await until(client, 'shadow');
    await split({ 2: 100 });
    expect(await until(client, 'rolled_back')).toMatchObject({ cause: 'reconfigured', inForce: false });
    expect(await versionsOf(client)).toEqual(['2']);
    await vi.waitUntil(() => fs.readFileSync(fileOf(repository), 'utf8').includes('"inForce": false'), PATIENCE);
  });

  test('has to be written before anything begins', async () => {
    const { repository, client } = await serve(['--state-directory', '/proc/nowhere']);
    publish(repository, 2);
    expect(await refusal(client.startRollout('m', '2', QUICK))).toMatch(
      /^FAILED_PRECONDITION: the rollout is not begun: \/proc\/nowhere\/rollouts\/m\.json cannot be written: ENOENT.*--state-directory DIR/,
    );
    expect(await client.rollouts('m')).toEqual([]);
    expect(await versionsOf(client)).toEqual(['1']);
  });
});

describe('a rollout is refused', () => {
  test('beside another one of the model, unless it asks for nothing that this one does not do', async () => {
    const { repository, client } = await serve();
    publish(repository, 2);
    publish(repository, 3);
    await client.startRollout('m', '2', QUICK);
    expect(await refusal(client.startRollout('m', '3', QUICK))).toBe(
      "FAILED_PRECONDITION: 'm' is being rolled out from version 1 to 2: abort that first, or wait for its end",
    );
    expect(await refusal(client.startRollout('m', '2', { comparisons: 7 }))).toBe(
      "FAILED_PRECONDITION: 'm' is being rolled out otherwise than asked for: abort that first, or wait for its end",
    );
    expect(await client.startRollout('m', '2', { comparisons: 30 })).toMatchObject({ comparisons: 30, shadowShare: 1 });
    expect(await client.startRollout('m', '2')).toMatchObject({ holdMs: 100 });
    expect(await refusal(client.forgetRollout('m'))).toBe(
      "FAILED_PRECONDITION: the rollout of 'm' runs: abort it first",
    );
  });

  test('for a version that is missing, or already serves', async () => {
    const { client } = await serve();
    expect(await refusal(client.startRollout('m', '9', QUICK))).toBe(
      "NOT_FOUND: Request for unknown model: 'm' version 9 is not found, or its version_policy leaves it out",
    );
    expect(await refusal(client.startRollout('x', '2'))).toBe("NOT_FOUND: Request for unknown model: 'x' is not found");
    expect(await refusal(client.startRollout('m', 'new'))).toBe(
      "INVALID_ARGUMENT: version: expected a number above 0, or a label of the model, got 'new'",
    );
    expect(await refusal(client.startRollout('m', '1'))).toMatch(
      /^FAILED_PRECONDITION: 'm' cannot be rolled out: version 1 answers already/,
    );
    expect(await refusal(client.abortRollout('m'))).toBe("FAILED_PRECONDITION: no rollout of 'm' runs");
    expect(await refusal(client.forgetRollout('m'))).toBe("FAILED_PRECONDITION: no rollout of 'm' is known");
    expect(await refusal(client.abortRollout('x'))).toBe("NOT_FOUND: Request for unknown model: 'x' is not found");
    expect(await refusal(client.rollouts('x'))).toBe("NOT_FOUND: Request for unknown model: 'x' is not found");
  });

  test('with a number that makes no sense, by its name', async () => {
    const { client } = await serve();
    for (const [options, text] of [
      [{ shadowShare: 0 }, 'shadow_share: '],
      [{ comparisons: 0 }, 'comparisons: '],
      [{ steps: [10, 5, 100] }, 'steps: expected ascending percentages, the last of them 100, got [10,5,100]'],
      [{ steps: [1, 10] }, 'steps: expected ascending percentages'],
      [{ minAgreement: 2 }, 'min_agreement: '],
      [{ maxErrorRate: Number.NaN }, 'max_error_rate: '],
      [{ maxP99Ratio: 0 }, 'max_p99_ratio: '],
    ] as const) {
      expect(await refusal(client.startRollout('m', '2', options))).toContain(`INVALID_ARGUMENT: ${text}`);
    }
  });

  test('where a load would end the version that answers', async () => {
    const { repository, client } = await serve([], { config: { ...CONFIG, version_policy: { latest: {} } } });
    publish(repository, 2);
    expect(await refusal(client.startRollout('m', '2'))).toBe(
      "FAILED_PRECONDITION: 'm' cannot be rolled out: its version_policy serves 2, and a load would end version 1: set version_policy: {all: {}}",
    );
  });

  test('for a model whose requests are spread by its configuration, or copied to another version', async () => {
    const versions = { 1: offsetModel(0), 2: offsetModel(0), 3: offsetModel(0) };
    const config = (traffic: object) => ({ ...CONFIG, tensorgate: { traffic } });
    using repository = new Repository({
      split: { versions, config: config({ split: { 1: 90, 2: 10 } }) },
      shadowed: { versions, config: config({ split: { 1: 1 }, shadow: { version: 2 } }) },
    });
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
    using client = new InferenceClient(server.grpc, { deadlineMs: 30_000 });
    expect(await refusal(client.startRollout('split', '3'))).toMatch(
      /its requests are spread over the versions 1, 2: give all of them to one/,
    );
    expect(await refusal(client.startRollout('shadowed', '3'))).toMatch(
      /version 2 as the shadow: take tensorgate.traffic.shadow out/,
    );
    expect(await client.startRollout('shadowed', '2', { dryRun: true })).toMatchObject({ from: '1', to: '2' });
    repository.publish('split', 4, offsetModel(0));
    expect(await refusal(client.startRollout('shadowed', '4'))).toMatch(/FAILED_PRECONDITION/);
  });

  test('for an ensemble, a model with sequences, and a model that may be evicted meanwhile', async () => {
    const tensors = (name: string) => [{ name, data_type: 'TYPE_FP32', dims: [3] }];
    const step = {
      model_name: 'm',
      model_version: -1,
      input_map: { input: 'input' },
      output_map: { output: 'output' },
    };
    const graph = { platform: 'ensemble', max_batch_size: 8, input: tensors('input'), output: tensors('output') };
    const state = [{ input_name: 'total', output_name: 'total_out', data_type: 'TYPE_FP32', dims: [1] }];
    using repository = new Repository({
      m: { versions: { 1: offsetModel(0), 2: offsetModel(0) }, config: CONFIG },
      graph: { versions: { 1: undefined, 2: undefined }, config: { ...graph, ensemble_scheduling: { step: [step] } } },
      sequences: {
        versions: { 1: accumulatorModel(), 2: accumulatorModel() },
        config: { sequence_batching: { state: state.map((each) => ({ ...each, initial_state: [] })) } },
      },
      pinned: {
        versions: { 1: offsetModel(0), 2: offsetModel(0) },
        config: { ...CONFIG, tensorgate: { pinned: true, traffic: { split: { 1: 1 } } } },
      },
    });
    const flags = [...EXPLICIT, '--load-on-demand', '--log-level', 'error'];
    await using server = await startServer(repository.directory, { flags });
    using client = new InferenceClient(server.grpc, { deadlineMs: 30_000 });
    expect(await refusal(client.startRollout('graph', '1'))).toMatch(
      /^FAILED_PRECONDITION: 'graph' cannot be rolled out: it is an ensemble, which cannot be copied/,
    );
    expect(await refusal(client.startRollout('sequences', '1'))).toMatch(
      /^FAILED_PRECONDITION: 'sequences' cannot be rolled out: it has sequence_batching/,
    );
    expect(await refusal(client.startRollout('m', '1'))).toMatch(/with --load-on-demand it could be evicted meanwhile/);
    expect(await client.startRollout('pinned', '2', { dryRun: true })).toMatchObject({ from: '1', to: '2' });
  });

  test('by a server that loads nothing while it runs', async () => {
    const repository = served();
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
    using client = new InferenceClient(server.grpc, { deadlineMs: 30_000 });
    publish(repository, 2);
    expect(await refusal(client.startRollout('m', '2'))).toBe(
      "FAILED_PRECONDITION: version 2 of 'm' is not loaded, and nothing is loaded while the server runs: restart it, or start it with --model-control-mode explicit or poll",
    );
    repository[Symbol.dispose]();
  });
});

test('a version that does not load leaves everything as it is', async () => {
  const { repository, client } = await serve(['--log-level', 'silent']);
  repository.publish('m', 2, new TextEncoder().encode('no model'));
  await client.startRollout('m', '2', QUICK);
  const back = await until(client, 'rolled_back');
  expect(back).toMatchObject({
    cause: 'not_ready',
    detail: expect.stringContaining("load failed for model 'm': version 2"),
  });
  expect(await versionsOf(client)).toEqual(['1']);
});

test('in mode poll, a version that comes to the disk gets nothing before it is rolled out', async () => {
  const config = { ...CONFIG, tensorgate: { traffic: { split: { 1: 100 } } } };
  const { repository, server, client } = await serve([], { config }, [
    '--model-control-mode',
    'poll',
    '--repository-poll-secs',
    '1',
  ]);
  publish(repository, 2);
  const load = new RolloutLoad(server.grpc, OFFSETS);
  await client.startRollout('m', '2', QUICK);
  await until(client, 'promoted');
  await load.stop();
  expect(load.faults).toEqual([]);
  expect(await versionsOf(client)).toEqual(['2']);
});

test('with an admin port, rollouts are asked for only there', async () => {
  const { server, client } = await serve(['--admin-port', '0']);
  expect(await refusal(client.startRollout('m', '2'))).toBe('UNIMPLEMENTED: Start is offered only on the admin port');
  expect(await refusal(client.rollouts(''))).toBe('UNIMPLEMENTED: Status is offered only on the admin port');
  using admin = new InferenceClient(server.admin ?? '');
  expect(await admin.rollouts('')).toEqual([]);
});

describe('the command', LONG, () => {
  const FLAGS = ['--shadow-share', '100%', '--comparisons', '30', '--requests', '10', '--max-p99-ratio', '1000'];

  test('says what would be done, and changes nothing', async () => {
    const { repository, server, client } = await serve();
    publish(repository, 2);
    const { code, stdout, stderr } = await runCommandLine([
      'rollout',
      'm',
      '--to',
      '2',
      '--dry-run',
      '--min-agreement',
      '98%',
      '--url',
      server.grpc,
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(
      [
        'm: from version 1 to version 2',
        '  copies of 10 % of the requests, until 200 are compared; then 1, 10, 50, 100 % of the requests,',
        '  each for 1 min and 100 answers at least',
        '  while 98 % of rows agree, at most 1 % more fail, and p99 is at most 1.5 times the p99 of version 1',
        '  (other limits are from the defaults: the version has no report.json)',
        'nothing was changed',
        '',
      ].join('\n'),
    );
    expect(await client.rollouts('')).toEqual([]);
    expect(fs.existsSync(fileOf(repository))).toBe(false);
    expect(server.runnerPids()).toHaveLength(1);
  });

  test('follows the server, may be interrupted, and finds the rollout again', async () => {
    const { repository, server, client } = await serve();
    publish(repository, 2);
    const load = new RolloutLoad(server.grpc, OFFSETS);
    const command = ['rollout', 'm', '--to', '2', ...FLAGS, '--hold', '700ms', '--url', server.grpc];
    const first = spawn(process.execPath, [PROGRAM, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(first, 'exit');
    for await (const chunk of first.stdout) if (String(chunk).includes('canary at 1 %')) break;
    first.kill('SIGINT');
    expect(await ended).toEqual([null, 'SIGINT']);
    expect(['canary', 'promoted']).toContain((await client.rollouts('m'))[0]?.stage);
    const second = await runCommandLine(command);
    await load.stop();
    expect(second).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/\d\d:\d\d:\d\d {2}promoted: .*\nversion 2 of m answers\n/),
    });
    // The whole story, also the part that the first process logged.
    expect(second.stdout).toContain('shadow of 100 %');
    expect(load.faults).toEqual([]);
    const third = await runCommandLine(command);
    expect(third).toMatchObject({ code: 0, stdout: expect.stringContaining('version 2 of m answers') });
    const status = await runCommandLine(['rollout', 'status', '--url', server.grpc]);
    expect(status.stdout).toMatch(/^m +1 +2 +promoted +100 % +promoted: /m);
    const json = await runCommandLine(['rollout', 'status', 'm', '--json', '--url', server.grpc]);
    expect(JSON.parse(json.stdout)).toMatchObject([{ model: 'm', stage: 'promoted' }]);
    expect(await runCommandLine(['rollout', 'abort', 'm', '--url', server.grpc])).toMatchObject({
      code: 1,
      stderr: "error: no rollout of 'm' runs (FAILED_PRECONDITION)\n",
    });
    expect(await runCommandLine(['rollout', 'forget', 'm', '--url', server.grpc])).toMatchObject({ code: 0 });
    expect(await runCommandLine(['rollout', 'status', '--url', server.grpc])).toMatchObject({ code: 0, stdout: '' });
  });

  test('ends with 1 and the reason where the version is rolled back', async () => {
    const { repository, server } = await serve(['--log-level', 'silent']);
    publish(repository, 3);
    await using load = new RolloutLoad(server.grpc, OFFSETS);
    const { code, stdout } = await runCommandLine(['rollout', 'm', '--to', '3', ...FLAGS, '--url', server.grpc]);
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: expect.stringMatching(
        /rolled back \(disagreement\): 0 % agree .*\nversion 3 of m was rolled back, and version 1 answers\n$/,
      ),
    });
    expect(load.faults).toEqual([]);
  });
});
