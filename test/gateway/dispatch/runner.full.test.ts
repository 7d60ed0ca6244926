import fs from 'node:fs';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { InstanceGroup } from '../../../src/gateway/dispatch/instance-group.ts';
import type { Outage } from '../../../src/gateway/dispatch/outage.ts';
import { type HostedModel, Runner } from '../../../src/gateway/dispatch/runner.ts';
import type { RunnerProcess } from '../../../src/gateway/dispatch/runner-process.ts';
import { diagnostics, type RunnerEnded } from '../../../src/gateway/ops/diagnostics.ts';
import { identityModel } from '../../support/onnx-models.ts';
import { refuseProcesses } from '../../support/process-shortage.ts';
import {
  batchOf,
  ENDLESS,
  groupOptions,
  isAlive,
  loopModelFile,
  loopRow,
  modelFile,
  PATIENCE_MS,
  pidOf,
} from '../../support/runners.ts';

function runner(name = 'test'): Runner {
  const made = new Runner(name, process.env);
  onTestFinished(async () => {
    const { pid } = made;
    await made.close();
    if (pid !== undefined) await vi.waitUntil(() => !isAlive(pid), { timeout: 5_000 });
  });
  return made;
}

/** A group of the loop model that says when it can run, and records its outages. */
class HostedFake extends InstanceGroup {
  readonly outages: readonly Outage[];
  readonly #idle: () => Promise<void>;

  constructor(modelPath: string = loopModelFile()) {
    let wake = Promise.withResolvers<void>();
    const outages: Outage[] = [];
    super(
      groupOptions(modelPath, {
        onIdle: () => {
          wake.resolve();
          wake = Promise.withResolvers();
        },
        onOutage: (outage) => outage && outages.push(outage),
      }),
    );
    this.outages = outages;
    this.#idle = () => wake.promise;
  }

  /** Resolves once it could take a batch. */
  async ready(): Promise<void> {
    while (this.idle === 0) await this.#idle();
  }

  /** The kind of the outcome of a run of so many iterations. */
  async outcome(iterations: number): Promise<string> {
    const { inputs } = this.info;
    const { kind } = await this.run(batchOf([loopRow(iterations)]), { inputs, axis: 'rows' }, { maxMs: PATIENCE_MS });
    return kind;
  }
}

/** A model whose load ends its process. */
class Killer implements HostedModel {
  readonly model = { name: 'killer', version: '1' };
  loads = 0;

  async load(process_: RunnerProcess): Promise<void> {
    this.loads++;
    process.kill(pidOf(process_), 'SIGSEGV');
    throw new Error((await process_.ended).cause);
  }

  unload(): void {}

  suspend(): void {}
}

function ends(): RunnerEnded[] {
  const events: RunnerEnded[] = [];
  onTestFinished(diagnostics.runnerEnded.subscribe((event) => events.push(event)));
  return events;
}

describe('a runner that dies in service', () => {
  test('is replaced, and its models are loaded again', async () => {
    const events = ends();
    const home = runner();
    const group = new HostedFake();
    await home.load(group);
    const first = pidOf(home);
    process.kill(first, 'SIGKILL');
    await vi.waitUntil(() => group.idle === 0);
    await group.ready();
    expect(await group.outcome(1)).toBe('ok');
    expect(home.pid).not.toBe(first);
    expect(events).toEqual([{ runner: 'test', models: [group.model], cause: 'killed by SIGKILL', isStopped: false }]);
  });

  test('is replaced in the middle of a run, too, and the run fails', async () => {
    const home = runner();
    const group = new HostedFake();
    await home.load(group);
    const running = group.outcome(ENDLESS);
    process.kill(pidOf(home), 'SIGSEGV');
    expect(await running).toBe('crashed');
    await group.ready();
    expect(await group.outcome(1)).toBe('ok');
  });

  test('RUN-1: fails only its own requests, and touches no other runner', async () => {
    const [shared, other] = [runner('shared'), runner('other')];
    const file = loopModelFile();
    const [a, b, elsewhere] = [new HostedFake(file), new HostedFake(file), new HostedFake(file)];
    await Promise.all([shared.load(a), shared.load(b), other.load(elsewhere)]);
    const running = [a.outcome(ENDLESS), b.outcome(ENDLESS), elsewhere.outcome(2_000)];
    shared.kill('the test says so');
    expect(await Promise.all(running)).toEqual(['crashed', 'crashed', 'ok']);
    await Promise.all([a.ready(), b.ready()]);
    expect(await Promise.all([a.outcome(1), b.outcome(1)])).toEqual(['ok', 'ok']);
  });

  test('loads a model again whose file was gone when it is back, and serves the others meanwhile', async () => {
    const home = runner();
    const file = loopModelFile();
    const [stays, returns] = [new HostedFake(), new HostedFake(file)];
    await Promise.all([home.load(stays), home.load(returns)]);
    fs.renameSync(file, `${file}.away`);
    home.kill('the test says so');
    await vi.waitUntil(() => returns.outage?.isRefused, { timeout: PATIENCE_MS });
    expect(returns.outage?.cause).toContain(file);
    await stays.ready();
    const pid = pidOf(home);
    expect(await stays.outcome(1)).toBe('ok');
    fs.renameSync(`${file}.away`, file);
    await returns.ready();
    expect(returns.outage).toBeUndefined();
    expect(await returns.outcome(1)).toBe('ok');
    expect(home.pid).toBe(pid);
  });

  test('keeps no process while none of its models loads', async () => {
    const home = runner();
    const file = loopModelFile();
    const group = new HostedFake(file);
    await home.load(group);
    fs.rmSync(file);
    home.kill('the test says so');
    await vi.waitUntil(() => group.outage?.isRefused, { timeout: PATIENCE_MS });
    await vi.waitUntil(() => home.pid === undefined);
    // Another model may be loaded.
    const other = new HostedFake();
    await home.load(other);
    expect(await other.outcome(1)).toBe('ok');
  });

  test('does not load a model from a changed file', async () => {
    const home = runner();
    const file = loopModelFile();
    const group = new HostedFake(file);
    await home.load(group);
    fs.writeFileSync(`${file}.new`, identityModel('FP32'));
    fs.renameSync(`${file}.new`, file);
    home.kill('the test says so');
    await vi.waitUntil(() => group.outage?.isRefused, { timeout: PATIENCE_MS });
    expect(group.outage?.cause).toBe(
      'its file holds a model with other inputs or outputs than before: load the model again',
    );
  });

  test('is started again for ever, with growing pauses, and its models say when', async () => {
    const events = ends();
    const home = runner();
    const group = new HostedFake();
    await home.load(group);
    // From now on each load ends the process.
    const killer = new Killer();
    const load = vi.spyOn(group, 'load').mockImplementation((process_) => killer.load(process_));
    home.kill('the test says so');
    await vi.waitUntil(() => killer.loads === 5, { timeout: PATIENCE_MS });
    await vi.waitUntil(() => group.outages.length === 6, { timeout: PATIENCE_MS });
    expect(events).toHaveLength(1);
    expect(group.outages.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(group.outages.map(({ cause }) => cause)).toEqual([
      'the test says so',
      ...Array(5).fill('killed by SIGSEGV'),
    ]);
    expect(group.outages.every(({ isRefused, sinceMs }) => !isRefused && sinceMs === group.outages[0]?.sinceMs)).toBe(
      true,
    );
    load.mockRestore();
    await group.ready();
    expect(await group.outcome(1)).toBe('ok');
    expect(group.outage).toBeUndefined();
  });

  test('does not wait for the pauses of a model whose load ends it', async () => {
    const home = runner();
    const [good, bad] = [new HostedFake(), new HostedFake()];
    await Promise.all([home.load(good), home.load(bad)]);
    const killer = new Killer();
    vi.spyOn(bad, 'load').mockImplementation((process_) => killer.load(process_));
    home.kill('the test says so');
    await vi.waitUntil(() => killer.loads === 4, { timeout: PATIENCE_MS });
    // Its process may end once more meanwhile: the pauses of the bad one are longer than a run.
    const answers = async (): Promise<boolean> => {
      await good.ready();
      return (await good.outcome(1)) === 'ok';
    };
    await vi.waitUntil(answers, { timeout: PATIENCE_MS });
    // The good one is always the first start after a death; only the bad one has failed again and again.
    expect(good.outages.map(({ attempt }) => attempt)).toEqual(good.outages.map(() => 1));
    expect(bad.outages.at(-1)?.attempt).toBeGreaterThan(3);
  });

  test.each(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'] as const)(
    'is started again when the system refused a process with %s, and has one to give',
    async (code) => {
      const home = runner();
      const group = new HostedFake();
      await home.load(group);
      const handles = fs.readdirSync('/proc/self/fd').length;
      const shortage = refuseProcesses(code);
      onTestFinished(shortage.end);
      home.kill('the test says so');
      await vi.waitUntil(() => shortage.refused === 3, { timeout: PATIENCE_MS });
      await vi.waitUntil(() => group.outage?.attempt === 4, { timeout: PATIENCE_MS });
      expect(group.outage).toMatchObject({
        cause: expect.stringMatching(new RegExp(`: could not be started: ${code}, [a-z]`)),
        isRefused: false,
      });
      expect(home.pid).toBeUndefined();
      // Neither does the gateway leak what a start took.
      expect(fs.readdirSync('/proc/self/fd').length).toBeLessThan(handles);
      shortage.end();
      await group.ready();
      expect(await group.outcome(1)).toBe('ok');
    },
  );
});

describe('a first load', () => {
  test('RUN-2: that ends the process is the failure of that model, and is not tried again', async () => {
    const events = ends();
    const home = runner();
    const killer = new Killer();
    await expect(home.load(killer)).rejects.toThrow('killed by SIGSEGV');
    await new Promise((resolve) => setImmediate(resolve));
    expect(killer.loads).toBe(1);
    expect(home.pid).toBeUndefined();
    expect(events).toEqual([]);
  });

  test('RUN-2: that ends a process in which others live costs them a restart, and no more', async () => {
    const home = runner();
    const group = new HostedFake();
    await home.load(group);
    const killer = new Killer();
    await expect(home.load(killer)).rejects.toThrow('killed by SIGSEGV');
    await group.ready();
    expect(await group.outcome(1)).toBe('ok');
    expect(killer.loads).toBe(1);
  });

  test('that fails leaves the process to the others', async () => {
    const home = runner();
    const group = new HostedFake();
    await home.load(group);
    const pid = home.pid;
    const broken = new HostedFake(modelFile(Buffer.from('no model')));
    await expect(home.load(broken)).rejects.toThrow('Protobuf parsing failed');
    home.unload(broken);
    expect(await group.outcome(1)).toBe('ok');
    expect(home.pid).toBe(pid);
  });

  test('that fails leaves the runner to a model that is loaded meanwhile', async () => {
    const home = runner();
    const broken = new HostedFake('/nowhere/m/1/model.onnx');
    const good = new HostedFake();
    const failing = home.load(broken).catch(() => home.unload(broken));
    await Promise.all([failing, home.load(good)]);
    expect(await good.outcome(1)).toBe('ok');
  });
});

test('a closed runner takes no more models', async () => {
  const home = runner();
  const group = new HostedFake();
  await home.load(group);
  const pid = pidOf(home);
  await home.close();
  await vi.waitUntil(() => !isAlive(pid));
  await expect(home.load(new HostedFake())).rejects.toThrow('the server ends');
  expect(home.pid).toBeUndefined();
});

describe('the last model that is unloaded', () => {
  test('ends the process', async () => {
    const home = runner();
    const [a, b] = [new HostedFake(), new HostedFake()];
    await Promise.all([home.load(a), home.load(b)]);
    const pid = pidOf(home);
    home.unload(a);
    expect(await b.outcome(1)).toBe('ok');
    expect(isAlive(pid)).toBe(true);
    home.unload(b);
    await vi.waitUntil(() => !isAlive(pid));
    expect(home.pid).toBeUndefined();
  });

  test('does not end the runner of a model that is being loaded', async () => {
    const home = runner();
    const [a, b] = [new HostedFake(), new HostedFake()];
    await home.load(a);
    const pid = pidOf(home);
    const arrival = home.load(b);
    await new Promise((resolve) => setImmediate(resolve));
    home.unload(a);
    await arrival;
    expect(await b.outcome(1)).toBe('ok');
    expect(home.pid).toBe(pid);
  });

  test('does not end the runner of a model that is loaded next', async () => {
    const home = runner();
    const [a, b] = [new HostedFake(), new HostedFake()];
    await home.load(a);
    home.unload(a);
    await home.load(b);
    expect(await b.outcome(1)).toBe('ok');
  });

  test('ends the restarts', async () => {
    const home = runner();
    const group = new HostedFake();
    await home.load(group);
    const load = vi.spyOn(group, 'load');
    const released = new Promise<void>((resolve) => {
      onTestFinished(
        diagnostics.runnerEnded.subscribe(() => {
          home.unload(group);
          resolve();
        }),
      );
    });
    home.kill('the test says so');
    await released;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(load).not.toHaveBeenCalled();
    expect(home.pid).toBeUndefined();
  });
});
