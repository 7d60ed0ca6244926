import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { Device, type DeviceRun, type DeviceShare } from '../../../src/gateway/batch/device.ts';

/** The clock and the timers of the device. */
class Clock {
  now = 1_000;
  readonly #timers = new Map<object, { readonly atMs: number; readonly act: () => void }>();

  get nextMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...[...this.#timers.values()].map(({ atMs }) => atMs));
  }

  setTimeout(act: () => void, ms: number): object {
    const timer = {};
    this.#timers.set(timer, { atMs: this.now + ms, act });
    return timer;
  }

  clearTimeout(timer: object): void {
    this.#timers.delete(timer);
  }

  advance(ms: number): void {
    this.now += ms;
    for (const [timer, { atMs, act }] of [...this.#timers]) {
      if (atMs > this.now + 1e-9 || !this.#timers.delete(timer)) continue;
      act();
    }
  }
}

let clock = new Clock();

beforeEach(() => {
  clock = new Clock();
  vi.spyOn(performance, 'now').mockImplementation(() => clock.now);
  vi.stubGlobal('setTimeout', (act: () => void, ms: number) => clock.setTimeout(act, ms));
  vi.stubGlobal('clearTimeout', (timer: object) => clock.clearTimeout(timer));
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

interface Work {
  readonly version: Version;
  leftMs: number;
  readonly run: DeviceRun;
}

/** Cores that an operating system divides among the runs: each gets an equal part of them. */
class Machine {
  readonly device: Device;
  readonly cores: number;
  readonly versions: Version[] = [];
  works: Work[] = [];

  constructor(cores: number) {
    this.cores = cores;
    this.device = new Device(cores);
  }

  add(options: Partial<VersionOptions> = {}): Version {
    const version = new Version(this, { instances: 1, runMs: 10, backlog: 0, background: false, cores: 1, ...options });
    this.versions.push(version);
    return version;
  }

  get busy(): number {
    return this.works.reduce((sum, { version }) => sum + version.options.cores, 0);
  }

  get speed(): number {
    return this.busy <= this.cores ? 1 : this.cores / this.busy;
  }

  /** Lets `ms` pass, from each end of a run or timer to the next. */
  pass(ms: number): void {
    const end = clock.now + ms;
    this.settle();
    while (clock.now < end) {
      const { speed } = this;
      const soonest = Math.min(...this.works.map(({ leftMs }) => leftMs / speed), clock.nextMs - clock.now);
      const step = Math.min(end - clock.now, Math.max(1e-6, soonest));
      for (const work of this.works) {
        work.leftMs -= step * speed;
        work.version.servedMs += step * speed * work.version.options.cores;
      }
      clock.advance(step);
      const ended = this.works.filter(({ leftMs }) => leftMs <= 1e-6);
      this.works = this.works.filter(({ leftMs }) => leftMs > 1e-6);
      for (const { version, run } of ended) version.ended(run);
      this.settle();
    }
  }

  /** Every version that was woken asks now, as in the next turn of the event loop. */
  settle(): void {
    while (this.versions.some(({ isWoken }) => isWoken)) for (const version of this.versions) version.turn();
  }
}

interface VersionOptions {
  readonly instances: number;
  readonly runMs: number;
  readonly cores: number;
  readonly background: boolean;
  /** Runs that it has to do; infinite for one that is flooded. */
  readonly backlog: number;
  /** What it says that a run takes; by default what it takes. */
  readonly predictedMs?: number | undefined;
}

/** A version as the device knows it: it asks for runs while it has work and an idle instance. */
class Version {
  readonly options: VersionOptions;
  readonly share: DeviceShare;
  backlog: number;
  running = 0;
  servedMs = 0;
  /** The most that ran at the same time. */
  most = 0;
  runs = 0;
  isWoken = false;
  readonly #machine: Machine;

  constructor(machine: Machine, options: VersionOptions) {
    this.#machine = machine;
    this.options = options;
    this.backlog = options.backlog;
    const { cores, background } = options;
    this.share = machine.device.join({
      cores,
      background,
      wake: () => {
        this.isWoken = true;
      },
    });
    this.isWoken = true;
  }

  get wants(): boolean {
    return this.backlog > 0 && this.running < this.options.instances;
  }

  request(runs: number): void {
    this.backlog += runs;
    this.isWoken = true;
    this.#machine.settle();
  }

  ended(run: DeviceRun): void {
    this.running--;
    run.end();
    this.isWoken = true;
  }

  /** What a scheduler does when it pumps. */
  turn(): void {
    if (!this.isWoken) return;
    this.isWoken = false;
    while (this.wants && !this.share.isWaiting) {
      const { runMs } = this.options;
      const run = this.share.start('predictedMs' in this.options ? this.options.predictedMs : runMs);
      if (run === undefined) return;
      this.backlog--;
      this.runs++;
      this.running++;
      this.most = Math.max(this.most, this.running);
      this.#machine.works.push({ version: this, leftMs: runMs, run });
    }
    if (!this.share.isWaiting) this.share.pass();
  }
}

const FLOODED = Number.POSITIVE_INFINITY;

describe('DEV-1: a version that is the only one on its device', () => {
  test('runs on all of its instances, however few cores there are', () => {
    const machine = new Machine(1);
    const version = machine.add({ instances: 4, backlog: FLOODED });
    machine.add();
    machine.pass(50);
    expect(version.running).toBe(4);
    expect(version.share.room).toBe(FLOODED);
  });

  test('does so again when its neighbour has run nothing for a second', () => {
    const machine = new Machine(1);
    const flooded = machine.add({ instances: 4, backlog: FLOODED });
    const other = machine.add({ backlog: 1 });
    machine.pass(200);
    expect([flooded.running, other.runs]).toEqual([1, 1]);
    machine.pass(1_000);
    expect(flooded.running).toBe(4);
  });
});

describe('versions that contend', () => {
  test('share one core equally, however many instances they have', () => {
    const machine = new Machine(1);
    const [few, many] = [1, 4].map((instances) => machine.add({ instances, backlog: FLOODED }));
    machine.pass(1_000);
    expect(Math.abs((few?.servedMs ?? 0) - (many?.servedMs ?? 0))).toBeLessThanOrEqual(2 * 10 + 40);
  });

  test('with equal runs wait for each other, and run alternately', () => {
    const machine = new Machine(1);
    const versions = [1, 2, 3].map(() => machine.add({ backlog: FLOODED }));
    machine.settle();
    for (let time = 0; time < 29; time++) {
      machine.pass(5);
      expect(machine.works.length).toBe(1);
    }
    expect(versions.map(({ runs }) => runs)).toEqual([5, 5, 5]);
  });

  test('wait for no run that is longer than their own: those that are shorter share the core with it', () => {
    const machine = new Machine(1);
    machine.add({ backlog: FLOODED, runMs: 1_000 });
    machine.pass(100);
    const short = machine.add({ backlog: 1, runMs: 10 });
    machine.pass(21);
    expect(short.runs).toBe(1);
    expect(short.running).toBe(0);
  });

  test('do not wait for a run that hangs', () => {
    const machine = new Machine(1);
    const hung = machine.add({ backlog: FLOODED, runMs: 1e9, predictedMs: 10 });
    machine.settle();
    const other = machine.add({ backlog: FLOODED, runMs: 10 });
    machine.pass(500);
    expect(hung.running).toBe(1);
    expect(other.runs).toBeGreaterThan(20);
  });

  test('run at once where nothing is known of how long runs take', () => {
    const machine = new Machine(1);
    machine.add({ backlog: FLOODED, runMs: 100, predictedMs: undefined });
    machine.pass(1);
    const other = machine.add({ backlog: 1, runMs: 100, predictedMs: undefined });
    machine.pass(1);
    expect(other.running).toBe(1);
  });

  test('are charged for the measured time of their runs, where it differs from the prediction', () => {
    const machine = new Machine(1);
    const liar = machine.add({ backlog: FLOODED, runMs: 30, predictedMs: 1 });
    const honest = machine.add({ backlog: FLOODED, runMs: 30, predictedMs: 30 });
    machine.pass(3_000);
    expect(liar.servedMs / honest.servedMs).toBeGreaterThan(0.9);
    expect(liar.servedMs / honest.servedMs).toBeLessThan(1.1);
  });

  test('do not starve a version by another one that takes all cores', () => {
    const machine = new Machine(2);
    const wide = machine.add({ cores: 2, backlog: FLOODED });
    const narrow = [1, 2, 3].map(() => machine.add({ backlog: FLOODED, instances: 4 }));
    machine.pass(2_000);
    expect(wide.servedMs).toBeGreaterThan(2_000 * 2 * (1 / 4) * 0.8);
    for (const { servedMs } of narrow) expect(servedMs).toBeGreaterThan(2_000 * 2 * (1 / 4) * 0.5);
  });

  test('that leave while they wait, or while they run, hold nothing', () => {
    const machine = new Machine(1);
    const first = machine.add({ backlog: FLOODED });
    machine.settle();
    const second = machine.add({ backlog: FLOODED });
    const third = machine.add({ backlog: FLOODED });
    machine.settle();
    second.backlog = 0;
    second.share.leave();
    first.backlog = 0;
    first.share.leave();
    machine.pass(100);
    expect(third.runs).toBeGreaterThanOrEqual(9);
    expect(machine.works.length).toBe(1);
  });

  test('a grant that is not used any more goes to the next', () => {
    const machine = new Machine(1);
    const first = machine.add({ backlog: 1 });
    machine.settle();
    const second = machine.add({ backlog: 1 });
    const third = machine.add({ backlog: 1 });
    machine.settle();
    // Its requests were cancelled while it waited.
    second.backlog = 0;
    machine.pass(10.5);
    expect([first.runs, second.runs, third.runs]).toEqual([1, 0, 1]);
  });
});

describe('DEV-5: background runs', () => {
  test('take no core from the others, and share what they leave', () => {
    const machine = new Machine(1);
    const shadow = machine.add({ background: true, instances: 2, backlog: FLOODED });
    machine.pass(15);
    const version = machine.add({ backlog: 1, instances: 2 });
    machine.settle();
    expect(version.running).toBe(1);
    machine.pass(50);
    expect(shadow.running).toBeGreaterThan(0);
    version.request(2);
    expect(version.running).toBe(2);
  });
});

describe('the runs beside a run', () => {
  test('are those that have no cores of their own', () => {
    const machine = new Machine(2);
    const versions = [1, 2, 3, 4].map(() => machine.add({ runMs: 100, predictedMs: undefined }));
    const seen = versions.map((version) => {
      const { beside } = version.share;
      version.request(1);
      machine.pass(1);
      return beside;
    });
    expect(seen).toEqual([0, 0, 1, 2]);
  });

  test('are none where nothing else runs, though one run takes more cores than there are', () => {
    const machine = new Machine(0.5);
    const version = machine.add({ cores: 8, backlog: 1 });
    expect(version.share.beside).toBe(0);
    machine.settle();
    expect(version.running).toBe(1);
  });
});

const anyVersion = fc.record({
  instances: fc.integer({ min: 1, max: 4 }),
  runMs: fc.integer({ min: 1, max: 40 }),
  error: fc.constantFrom(0.5, 1, 2),
});

test('any versions that are flooded share any cores: none idles, none takes more than there are, none falls behind', () => {
  const any = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.array(anyVersion, { minLength: 2, maxLength: 5 }));
  fc.assert(
    fc.property(any, ([cores, kinds]) => {
      const machine = new Machine(cores);
      const versions = kinds.map(({ instances, runMs, error }) =>
        machine.add({ instances, runMs, predictedMs: runMs * error, backlog: FLOODED }),
      );
      // The first one is the only one for a moment, and starts as many runs as it has instances.
      machine.pass(2_000);
      for (const version of versions) version.servedMs = 0;
      for (let time = 0; time < 40; time++) {
        machine.pass(10);
        // DEV-3
        expect(machine.busy).toBeGreaterThanOrEqual(
          Math.min(
            cores,
            versions.reduce((sum, { options }) => sum + options.instances, 0),
          ),
        );
        // DEV-2
        expect(machine.busy).toBeLessThanOrEqual(cores + versions.length - 1);
      }
      // A version cannot use more cores than it has instances, so only those that can are compared on several.
      if (cores > 1) return;
      const longest = Math.max(...kinds.map(({ runMs }) => runMs));
      const served = versions.map(({ servedMs }) => servedMs);
      expect(Math.max(...served) - Math.min(...served)).toBeLessThanOrEqual(4 * longest);
    }),
    { numRuns: 100 },
  );
});

test('whatever starts, ends, hangs, gives up or leaves: at the end the device is free', () => {
  const kind = fc.record({ instances: fc.integer({ min: 1, max: 3 }), runMs: fc.integer({ min: 1, max: 30 }) });
  const act = fc.record({
    who: fc.nat(3),
    what: fc.constantFrom('request', 'cancel', 'leave', 'wait'),
    ms: fc.integer({ min: 1, max: 20 }),
  });
  fc.assert(
    fc.property(fc.array(kind, { minLength: 4, maxLength: 4 }), fc.array(act, { maxLength: 40 }), (kinds, acts) => {
      const machine = new Machine(1);
      const versions = kinds.map((options) => machine.add(options));
      for (const { who, what, ms } of acts) {
        const version = versions[who];
        if (version === undefined) throw new Error('there is no such version');
        if (what === 'request') version.request(ms);
        else if (what === 'cancel') version.backlog = 0;
        else if (what === 'leave') {
          version.backlog = 0;
          version.share.leave();
        } else machine.pass(ms);
      }
      machine.pass(20_000);
      expect(versions.map(({ backlog, running }) => backlog + running)).toEqual([0, 0, 0, 0]);
      const late = machine.add({ backlog: 1 });
      machine.settle();
      expect(late.running).toBe(1);
      expect(late.share.beside).toBe(1);
    }),
    { numRuns: 40 },
  );
}, 60_000);

describe('a run whose outputs are of no use yet', () => {
  function join(device: Device, name: string, woken: string[] = []): DeviceShare {
    const share = device.join({ cores: 1, background: false, wake: () => woken.push(name) });
    onTestFinished(() => share.leave());
    return share;
  }

  test('runs after a version to which the run before gave work', () => {
    const device = new Device(1);
    const [first, follower, other] = [join(device, 'first'), join(device, 'follower'), join(device, 'other')];
    const run = first.start(10);
    expect(other.start(10, 60_000)).toBeUndefined();
    run?.end();
    // The device offers it the next run before the follower has asked.
    expect(first.start(10, 30_000)).toBeUndefined();
    expect(follower.start(10)).toBeDefined();
  });

  test('goes before one whose outputs are of use later, and after one whose outputs are of use at once', () => {
    const device = new Device(1);
    const woken: string[] = [];
    const last = join(device, 'last', woken);
    const run = last.start(10);
    expect(join(device, 'late', woken).start(10, 60_000)).toBeUndefined();
    expect(join(device, 'soon', woken).start(10, 30_000)).toBeUndefined();
    const now = join(device, 'now', woken);
    expect(now.start(10)).toBeUndefined();
    run?.end();
    expect(woken).toEqual(['now']);
    now.pass();
    expect(woken).toEqual(['now', 'last']);
    last.pass();
    expect(woken).toEqual(['now', 'last', 'soon']);
  });
});

test('a run that waits for other versions gives up its cores meanwhile, and takes them again', () => {
  const device = new Device(1);
  const join = () => device.join({ cores: 1, background: false, wake: () => {} });
  const [outer, inner, other] = [join(), join(), join()];
  const run = outer.start(10);
  expect(inner.start(10)).toBeUndefined();
  run?.wait(true);
  const within = inner.start(10);
  expect(within).toBeDefined();
  within?.end();
  run?.wait(false);
  expect(other.start(10)).toBeUndefined();
  run?.end();
  expect(other.start(10)).toBeDefined();
});
