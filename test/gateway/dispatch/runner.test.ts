import fs from 'node:fs';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { InstanceGroup } from '../../../src/gateway/dispatch/instance-group.ts';
import { Runner, type Tenant } from '../../../src/gateway/dispatch/runner.ts';
import type { RunnerProcess } from '../../../src/gateway/dispatch/runner-process.ts';
import { diagnostics, type RunnerEnded } from '../../../src/gateway/ops/diagnostics.ts';
import {
  ENDLESS,
  groupOptions,
  isAlive,
  loadOf,
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
    made.close();
    if (pid !== undefined) await vi.waitUntil(() => !isAlive(pid), { timeout: 5_000 });
  });
  return made;
}

/** A group of the loop model that tells when it can run, and when it is lost. */
class Inhabitant extends InstanceGroup {
  readonly lost: Promise<string>;
  readonly #idle: () => Promise<void>;

  constructor(modelPath: string = loopModelFile()) {
    let wake = Promise.withResolvers<void>();
    const lost = Promise.withResolvers<string>();
    super(
      groupOptions(modelPath, {
        onIdle: () => {
          wake.resolve();
          wake = Promise.withResolvers();
        },
        onLost: lost.resolve,
      }),
    );
    this.lost = lost.promise;
    this.#idle = () => wake.promise;
  }

  /** Resolves once it could take a batch. */
  async ready(): Promise<void> {
    while (this.idle === 0) await this.#idle();
  }

  /** The kind of the outcome of a run of so many iterations. */
  async outcome(iterations: number): Promise<string> {
    const { inputs } = this.info;
    const { kind } = await this.run(loadOf([loopRow(iterations)]), { inputs, axis: 'rows' }, PATIENCE_MS);
    return kind;
  }
}

/** A model whose load ends its process. */
class Killer implements Tenant {
  readonly model = { name: 'killer', version: '1' };
  readonly evicted = Promise.withResolvers<string>();
  loads = 0;

  async occupy(process_: RunnerProcess): Promise<void> {
    this.loads++;
    process.kill(pidOf(process_), 'SIGSEGV');
    throw new Error((await process_.ended).cause);
  }

  vacate(): void {}

  evict(cause: string): void {
    this.evicted.resolve(cause);
  }
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
    const group = new Inhabitant();
    await home.admit(group);
    const first = pidOf(home);
    process.kill(first, 'SIGKILL');
    await vi.waitUntil(() => group.idle === 0);
    await group.ready();
    expect(await group.outcome(1)).toBe('ok');
    expect(home.pid).not.toBe(first);
    expect(events).toEqual([{ runner: 'test', models: [group.model], cause: 'killed by SIGKILL', restarting: true }]);
  });

  test('is replaced in the middle of a run, too, which is told', async () => {
    const home = runner();
    const group = new Inhabitant();
    await home.admit(group);
    const running = group.outcome(ENDLESS);
    process.kill(pidOf(home), 'SIGSEGV');
    expect(await running).toBe('crashed');
    await group.ready();
    expect(await group.outcome(1)).toBe('ok');
  });

  test('I2: touches what is in it, and nothing in another runner', async () => {
    const [shared, other] = [runner('shared'), runner('other')];
    const file = loopModelFile();
    const [a, b, elsewhere] = [new Inhabitant(file), new Inhabitant(file), new Inhabitant(file)];
    await Promise.all([shared.admit(a), shared.admit(b), other.admit(elsewhere)]);
    const running = [a.outcome(ENDLESS), b.outcome(ENDLESS), elsewhere.outcome(2_000)];
    shared.kill('the test says so');
    expect(await Promise.all(running)).toEqual(['crashed', 'crashed', 'ok']);
    await Promise.all([a.ready(), b.ready()]);
    expect(await Promise.all([a.outcome(1), b.outcome(1)])).toEqual(['ok', 'ok']);
  });

  test('loses the model that no longer loads, and keeps the others', async () => {
    const home = runner();
    const file = loopModelFile();
    const [stays, goes] = [new Inhabitant(), new Inhabitant(file)];
    await Promise.all([home.admit(stays), home.admit(goes)]);
    fs.rmSync(file);
    home.kill('the test says so');
    expect(await goes.lost).toContain(file);
    await stays.ready();
    expect(await stays.outcome(1)).toBe('ok');
  });

  test('ends where none of its models loads any more', async () => {
    const home = runner();
    const file = loopModelFile();
    const group = new Inhabitant(file);
    await home.admit(group);
    fs.rmSync(file);
    home.kill('the test says so');
    await group.lost;
    await vi.waitUntil(() => home.pid === undefined);
    expect(home.empty).toBe(true);
    // It is not closed for good: another model may move in.
    const other = new Inhabitant();
    await home.admit(other);
    expect(await other.outcome(1)).toBe('ok');
  });

  test('is given up where it does not come up again, after three tries', async () => {
    const events = ends();
    const home = runner();
    const group = new Inhabitant();
    await home.admit(group);
    // From now on each load ends the process.
    const killer = new Killer();
    vi.spyOn(group, 'occupy').mockImplementation((process_) => killer.occupy(process_));
    home.kill('the test says so');
    expect(await group.lost).toBe('its runner does not come up again, last: killed by SIGSEGV');
    expect(killer.loads).toBe(3);
    expect(events.map(({ restarting }) => restarting)).toEqual([true, true, true, false]);
    expect(home.empty).toBe(true);
  });
});

describe('a first load', () => {
  test('I3: that ends the process is the failure of that model, and is not tried again', async () => {
    const events = ends();
    const home = runner();
    const killer = new Killer();
    await expect(home.admit(killer)).rejects.toThrow('killed by SIGSEGV');
    await new Promise((resolve) => setImmediate(resolve));
    expect(killer.loads).toBe(1);
    expect(home.pid).toBeUndefined();
    expect(events).toEqual([]);
  });

  test('I3: that ends a process in which others live costs them a restart, and no more', async () => {
    const home = runner();
    const group = new Inhabitant();
    await home.admit(group);
    const killer = new Killer();
    await expect(home.admit(killer)).rejects.toThrow('killed by SIGSEGV');
    await group.ready();
    expect(await group.outcome(1)).toBe('ok');
    expect(killer.loads).toBe(1);
  });

  test('that fails leaves the process to the others', async () => {
    const home = runner();
    const group = new Inhabitant();
    await home.admit(group);
    const pid = home.pid;
    const broken = new Inhabitant(modelFile(Buffer.from('no model')));
    await expect(home.admit(broken)).rejects.toThrow('Protobuf parsing failed');
    home.release(broken);
    expect(await group.outcome(1)).toBe('ok');
    expect(home.pid).toBe(pid);
  });

  test('that fails leaves the runner to one that moves in meanwhile', async () => {
    const home = runner();
    const broken = new Inhabitant('/nowhere/m/1/model.onnx');
    const good = new Inhabitant();
    const failing = home.admit(broken).catch(() => home.release(broken));
    await Promise.all([failing, home.admit(good)]);
    expect(await good.outcome(1)).toBe('ok');
  });
});

test('a runner that is closed takes nobody in any more', async () => {
  const home = runner();
  const group = new Inhabitant();
  await home.admit(group);
  const pid = pidOf(home);
  home.close();
  await vi.waitUntil(() => !isAlive(pid));
  await expect(home.admit(new Inhabitant())).rejects.toThrow('the server ends');
  expect(home.pid).toBeUndefined();
});

describe('the last model that moves out', () => {
  test('ends the process', async () => {
    const home = runner();
    const [a, b] = [new Inhabitant(), new Inhabitant()];
    await Promise.all([home.admit(a), home.admit(b)]);
    const pid = pidOf(home);
    home.release(a);
    expect(await b.outcome(1)).toBe('ok');
    expect(isAlive(pid)).toBe(true);
    home.release(b);
    await vi.waitUntil(() => !isAlive(pid));
    expect(home.pid).toBeUndefined();
  });

  test('does not take along the one that is moving in', async () => {
    const home = runner();
    const [a, b] = [new Inhabitant(), new Inhabitant()];
    await home.admit(a);
    const pid = pidOf(home);
    const arrival = home.admit(b);
    await new Promise((resolve) => setImmediate(resolve));
    home.release(a);
    await arrival;
    expect(await b.outcome(1)).toBe('ok');
    expect(home.pid).toBe(pid);
  });

  test('does not take along the one that moves in next', async () => {
    const home = runner();
    const [a, b] = [new Inhabitant(), new Inhabitant()];
    await home.admit(a);
    home.release(a);
    await home.admit(b);
    expect(await b.outcome(1)).toBe('ok');
  });

  test('ends the restarts', async () => {
    const home = runner();
    const group = new Inhabitant();
    await home.admit(group);
    const occupy = vi.spyOn(group, 'occupy');
    const released = new Promise<void>((resolve) => {
      onTestFinished(
        diagnostics.runnerEnded.subscribe(() => {
          home.release(group);
          resolve();
        }),
      );
    });
    home.kill('the test says so');
    await released;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(occupy).not.toHaveBeenCalled();
    expect(home.pid).toBeUndefined();
  });
});
