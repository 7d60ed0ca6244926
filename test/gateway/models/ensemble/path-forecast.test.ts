import { describe, expect, test } from 'vitest';
import { type InferTensors, UNIT_ROW } from '../../../../src/gateway/admit/infer-tensors.ts';
import { type Forecast, UNKNOWN } from '../../../../src/gateway/batch/forecast.ts';
import { PathForecast } from '../../../../src/gateway/models/ensemble/path-forecast.ts';
import { ModelTable } from '../../../../src/gateway/models/model-table.ts';
import { MODEL_CONFIG } from '../../../../src/gateway/repository/config/model-config.ts';
import { readEnsembleGraph } from '../../../../src/gateway/repository/signature/ensemble-graph.ts';
import { FakeServable } from '../../../support/fake-servable.ts';
import { signatureOf, spec } from '../../../support/infer-requests.ts';

/** A step, and the steps whose outputs it takes; `in` is the request's own input. */
type Steps = Readonly<Record<string, readonly string[]>>;

interface Bench {
  readonly forecast: PathForecast;
  readonly needed: readonly boolean[];
  model(name: string): FakeServable;
  says(name: string, outlook: Partial<Forecast>): void;
}

function bench(steps: Steps, answer: string): Bench {
  const tensor = (name: string) => ({ name, data_type: 'TYPE_FP32' as const, dims: [1] });
  const config = MODEL_CONFIG.parse({
    max_batch_size: 64,
    input: [tensor('in')],
    output: [tensor(answer)],
    ensemble_scheduling: {
      step: Object.entries(steps).map(([model_name, takes]) => ({
        model_name,
        input_map: Object.fromEntries(takes.map((taken) => [taken, taken])),
        output_map: { y: model_name },
      })),
    },
  });
  const models = new ModelTable();
  const known = new Map<string, FakeServable>();
  for (const [name, takes] of Object.entries(steps)) {
    const rows = (input: string) => spec(input, 'FP32', [-1, 1]);
    const model = new FakeServable(name, signatureOf(takes.map(rows), { outputs: [rows('y')] }));
    known.set(name, model);
    models.add(model);
  }
  const forecast = new PathForecast(readEnsembleGraph(config), models);
  for (const step of Object.keys(steps).keys()) forecast.learn(step, rowsOf(1), 1);
  const model = (name: string): FakeServable => known.get(name) ?? expect.fail(`no model ${name}`);
  return {
    forecast,
    needed: Object.keys(steps).map(() => true),
    model,
    says: (name, outlook) => {
      model(name).outlook = { ...UNKNOWN, ...outlook };
      // Each change of the flight asks the models again.
      forecast.enter(0, []).start(0);
    },
  };
}

function rowsOf(rows: number): InferTensors {
  return { rows, size: UNIT_ROW, bytes: rows * 4, bucket: '', inputs: [], shapes: [] };
}

const CHAIN: Steps = { a: ['in'], b: ['a'], c: ['b'] };
const DIAMOND: Steps = { a: ['in'], b: ['in'], c: ['a', 'b'] };

describe('the path behind a step', () => {
  test('is nothing while nothing is known, and nothing behind the last step', () => {
    const { forecast, needed, says } = bench(CHAIN, 'c');
    expect(forecast.behind(0, 1, needed)).toEqual({ ms: 0, runMs: 0, readyInMs: 0, isIdle: true });
    says('c', { runningMs: 50, aloneMs: 7, isIdle: false });
    expect(forecast.behind(2, 1, needed)).toEqual({ ms: 0, runMs: 0, readyInMs: 0, isIdle: true });
  });

  test('is the waits and the runs of the steps that follow', () => {
    const { forecast, needed, says } = bench(CHAIN, 'c');
    says('a', { aloneMs: 1 });
    says('b', { aloneMs: 2 });
    says('c', { aloneMs: 4 });
    expect(forecast.behind(0, 1, needed)).toMatchObject({ ms: 6, runMs: 6, isIdle: true });
    says('c', { aloneMs: 4, runningMs: 10, waitingMs: 20, isIdle: false });
    // While `a` and `b` run, `c` works off what it has.
    expect(forecast.behind(0, 1, needed)).toMatchObject({ ms: 33, runMs: 6, readyInMs: 30, isIdle: false });
    expect(forecast.behind(1, 1, [false, true, true])).toMatchObject({ ms: 32, runMs: 4, readyInMs: 30 });
  });

  test('takes as long as all of its work where the steps share a core', () => {
    const { forecast, needed, says } = bench(CHAIN, 'c');
    const device = {};
    says('b', { aloneMs: 2, waitingMs: 10, isIdle: false, device, parallel: 1 });
    says('c', { aloneMs: 4, waitingMs: 30, isIdle: false, device, parallel: 1 });
    expect(forecast.behind(0, 1, needed).ms).toBe(46);
    // Steps on two devices run beside each other.
    says('c', { aloneMs: 4, waitingMs: 30, isIdle: false, device: {}, parallel: 1 });
    expect(forecast.behind(0, 1, needed).ms).toBe(34);
  });

  test('counts steps beside each other on one device one after the other, divided by how many it runs at a time', () => {
    const { forecast, needed, says } = bench(DIAMOND, 'c');
    for (const [parallel, ms] of [
      [1, 60],
      [2, 40],
    ] as const) {
      const device = {};
      for (const name of ['a', 'b', 'c']) says(name, { aloneMs: 20, device, parallel });
      expect(forecast.whole(1, needed).ms).toBe(ms);
      expect(forecast.aloneMs(1, needed)).toBe(ms);
    }
  });

  test('is of use when the step can start that was held back for it, not when the one can that takes both', () => {
    const { forecast, needed, says } = bench(DIAMOND, 'c');
    says('b', { runningMs: 30, isIdle: false });
    expect(forecast.behind(0, 1, needed, new Set([1])).readyInMs).toBe(30);
    expect(forecast.behind(0, 1, [true, false, true]).readyInMs).toBe(0);
  });

  test('is of no use before the steps behind have done what requests gave them, where they cannot run beside the step', () => {
    const { forecast, needed, says } = bench(CHAIN, 'c');
    for (const [parallel, readyInMs] of [
      [1, 9 + 5],
      [2, 0],
    ] as const) {
      const device = {};
      says('a', { aloneMs: 5, device, parallel });
      says('b', { device, parallel });
      says('c', { waitingMs: 9, isIdle: false, device, parallel });
      const other = forecast.enter(1, needed);
      for (const step of [0, 1]) {
        other.start(step);
        other.end(step);
      }
      // What others gave the model of `c` is worked off meanwhile.
      expect(forecast.behind(0, 1, needed).readyInMs).toBe(9);
      other.start(2);
      expect(forecast.behind(0, 1, needed).readyInMs).toBe(Math.max(9, readyInMs));
      other.end(2);
    }
  });

  test('is of all rows that go on together', () => {
    const { forecast, needed, model } = bench({ a: ['in'], b: ['a'] }, 'b');
    model('b').forecast = ({ rows }) => ({ ...UNKNOWN, aloneMs: 1 + 4 * rows });
    forecast.learn(1, rowsOf(2), 1);
    expect(forecast.behind(0, 8, needed).ms).toBe(65);
    expect(forecast.requestRows(1, 16)).toBe(8);
  });

  test('counts requests on their way to the steps that follow', () => {
    const { forecast, needed, model } = bench(CHAIN, 'c');
    model('c').forecast = ({ rows }) => ({ ...UNKNOWN, aloneMs: 4 * rows });
    const progress = forecast.enter(5, needed);
    progress.start(0);
    expect(forecast.behind(0, 1, needed)).toMatchObject({ ms: 4, runMs: 4 });
    expect(forecast.whole(1, needed).ms).toBe(24);
    progress.end(0);
    progress.start(1);
    expect(forecast.behind(0, 1, needed)).toMatchObject({ ms: 24, runMs: 4 });
    expect(forecast.behind(1, 1, [false, true, true]).ms).toBe(4);
    progress.end(1);
    progress.leave();
    expect(forecast.behind(0, 1, needed).ms).toBe(4);
    expect(forecast.whole(1, needed).ms).toBe(4);
  });

  test('holds the steps beside it, which are not done either', () => {
    const { forecast, needed, says } = bench(DIAMOND, 'c');
    says('a', { aloneMs: 1 });
    says('b', { aloneMs: 9, waitingMs: 20, isIdle: false });
    says('c', { aloneMs: 2 });
    expect(forecast.behind(0, 1, needed)).toMatchObject({ ms: 30, isIdle: false });
    expect(forecast.behind(1, 1, [false, true, true])).toMatchObject({ ms: 2, isIdle: true });
    expect(forecast.behind(0, 1, [true, false, true]).ms).toBe(2);
  });

  test('ignores a model that is not there: its step says so', () => {
    const { forecast, needed, says, model } = bench(CHAIN, 'c');
    says('c', { aloneMs: 4 });
    model('c').become('UNAVAILABLE');
    says('b', { aloneMs: 2 });
    expect(forecast.behind(0, 1, needed)).toMatchObject({ ms: 2, isIdle: true });
  });
});

test('a whole request is forecast by the longest path, and by itself by the runs of that', () => {
  const { forecast, needed, says } = bench(DIAMOND, 'c');
  says('a', { aloneMs: 1, runningMs: 100, isIdle: false });
  says('b', { aloneMs: 9, waitingMs: 20, isIdle: false });
  says('c', { aloneMs: 2 });
  expect(forecast.whole(1, needed)).toEqual({ ms: 103, isIdle: false });
  expect(forecast.aloneMs(1, needed)).toBe(11);
});

test('a path is followed once however many ways lead along it', () => {
  const steps: Record<string, readonly string[]> = { s0: ['in'] };
  for (let depth = 0; depth < 40; depth++) {
    steps[`l${depth}`] = [`s${depth}`];
    steps[`r${depth}`] = [`s${depth}`];
    steps[`s${depth + 1}`] = [`l${depth}`, `r${depth}`];
  }
  const { forecast, needed, model } = bench(steps, 's40');
  let asked = 0;
  for (const name of Object.keys(steps)) {
    model(name).forecast = () => {
      asked++;
      return { ...UNKNOWN, aloneMs: 1 };
    };
  }
  expect(forecast.behind(0, 1, needed).ms).toBe(80);
  // Models are asked again after half a millisecond; not by each of the 2^40 ways.
  expect(asked).toBeLessThan(100 * needed.length);
});
