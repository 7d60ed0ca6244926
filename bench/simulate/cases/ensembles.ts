/** Ensembles whose steps share a core: work on a step whose request cannot be answered in the end is for nothing. */

import { Admission } from '../../../src/gateway/admit/admission.ts';
import { bucketKey, type InferTensors } from '../../../src/gateway/admit/infer-tensors.ts';
import { Device } from '../../../src/gateway/batch/device.ts';
import { Ensemble } from '../../../src/gateway/models/ensemble/ensemble.ts';
import { ModelTable } from '../../../src/gateway/models/model-table.ts';
import { MODEL_CONFIG, type ModelConfig } from '../../../src/gateway/repository/config/model-config.ts';
import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, percent, type RunOptions } from '../case.ts';
import { type Reply, sendAll } from '../client.ts';
import { Cores } from '../cores.ts';
import { type Curve, linear, runMs } from '../curves.ts';
import { SimulatedInstances } from '../instances.ts';
import { makeScheduler, warmUp } from '../model.ts';
import { answerMs, fatesText, goodput, inTimeShare, lateShare, sentIn } from '../scenario.ts';
import { ROW_ELEMENTS, SimulatedServable } from '../servable.ts';
import { VirtualClock } from '../virtual-clock.ts';

const LATE_WORK_BAR = 0.005;
const SETTLE_MS = 500;
/** So long that one batch which noise makes late is less than the bar: of 6 s it is half a percent. */
const SPAN_MS = 20_000;
const MAX_ROWS = 16;

/** A step and the models whose outputs it takes; `in` is the request's own input. */
interface Step {
  readonly perRowMs: number;
  readonly takes: readonly string[];
}

interface Graph {
  readonly name: string;
  readonly steps: Readonly<Record<string, Step>>;
  /** The steps whose outputs are the answer. */
  readonly answers: readonly string[];
}

const GRAPHS: readonly Graph[] = [
  {
    name: 'two steps',
    steps: { a: { perRowMs: 2, takes: ['in'] }, b: { perRowMs: 4, takes: ['a'] } },
    answers: ['b'],
  },
  {
    name: 'two steps, the first slow',
    steps: { a: { perRowMs: 6, takes: ['in'] }, b: { perRowMs: 1, takes: ['a'] } },
    answers: ['b'],
  },
  {
    name: 'three steps',
    steps: { a: { perRowMs: 1, takes: ['in'] }, b: { perRowMs: 2, takes: ['a'] }, c: { perRowMs: 4, takes: ['b'] } },
    answers: ['c'],
  },
  {
    name: 'two steps beside each other, then one',
    steps: {
      a: { perRowMs: 2, takes: ['in'] },
      b: { perRowMs: 3, takes: ['in'] },
      c: { perRowMs: 2, takes: ['a', 'b'] },
    },
    answers: ['c'],
  },
  {
    name: 'two alike steps beside each other, then one',
    steps: {
      a: { perRowMs: 2, takes: ['in'] },
      b: { perRowMs: 2, takes: ['in'] },
      c: { perRowMs: 2, takes: ['a', 'b'] },
    },
    answers: ['c'],
  },
];

function curveOf({ perRowMs }: Step): Curve {
  return { name: 'step', title: 'a step', maxRows: MAX_ROWS, sloMs: 100, table: linear(1, perRowMs, MAX_ROWS) };
}

async function run({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const measures: Measure[] = [];
  const rows: string[][] = [];
  for (const graph of GRAPHS) {
    const costs = Object.values(graph.steps).map((step) => runMs(curveOf(step), MAX_ROWS) / MAX_ROWS);
    const capacity = 1 / costs.reduce((sum, cost) => sum + cost, 0);
    for (const deadlineMs of [100, undefined]) {
      for (const load of isShort ? [2] : [0.8, 1.2, 2]) {
        const rate = load * capacity;
        const arrivals = poisson(rate, Math.ceil(rate * SPAN_MS), seeds[0] ?? 1);
        const { replies, lateWork } = await serveGraph(graph, arrivals, deadlineMs);
        const name = `${graph.name} at ${load}x, ${deadlineMs === undefined ? 'no deadline' : `${deadlineMs} ms`}`;
        const inTime = inTimeShare(replies, sentIn(SETTLE_MS, SPAN_MS));
        const possible = Math.min(1, load) * capacity;
        const rateInTime = goodput(replies, SETTLE_MS, SPAN_MS) / possible;
        const bar = load === 2 ? { atMost: LATE_WORK_BAR } : undefined;
        measures.push({ name: `${name}: late work`, value: lateWork, unit: 'share', bar });
        measures.push({ name: `${name}: goodput over possible`, value: rateInTime, unit: 'ratio' });
        rows.push([
          name,
          percent(inTime),
          rateInTime.toFixed(3),
          percent(lateWork, 2),
          `${answerMs(replies, 0.99, sentIn(SETTLE_MS)).toFixed(0)} ms`,
          fatesText(replies, sentIn(SETTLE_MS)),
        ]);
      }
    }
  }
  const columns = ['ensemble', 'in time', 'goodput', 'late work', 'p99', 'others'];
  return { measures, tables: [{ title: 'Ensembles on one core', columns, rows }] };
}

async function serveGraph(
  graph: Graph,
  arrivals: Float64Array,
  deadlineMs: number | undefined,
): Promise<{ readonly replies: readonly Reply[]; readonly lateWork: number }> {
  using clock = new VirtualClock();
  const cores = new Cores(clock, 1);
  const place = { device: new Device(1), cores: 1, background: false };
  const models = new ModelTable();
  const steps = Object.entries(graph.steps).map(([name, step], index) => {
    const curve = curveOf(step);
    const instances = new SimulatedInstances(clock, {
      cost: ({ rows }) => runMs(curve, rows),
      noise: 0.05,
      seed: index + 1,
      cores,
      outputs: ({ rows }) => [{ name: 'y', datatype: 'FP32', shape: [rows, ROW_ELEMENTS], data: rowsOf(rows) }],
    });
    const scheduler = makeScheduler({ name, maxRows: MAX_ROWS, place }, instances);
    warmUp(scheduler, curve, { elements: step.takes.length * ROW_ELEMENTS, length: 1 });
    models.add(new SimulatedServable(name, scheduler, step.takes, MAX_ROWS));
    return instances;
  });
  const ensemble = new Ensemble(
    {
      ref: { name: 'ensemble', version: '1' },
      config: configOf(graph),
      directory: '',
      sessions: [],
      problem: undefined,
      mailboxDirectory: '',
      loadLimitMs: 0,
      maxRunMs: Number.POSITIVE_INFINITY,
      maxOutputBytes: Number.POSITIVE_INFINITY,
    },
    { models, admission: new Admission(Number.POSITIVE_INFINITY) },
  );
  await ensemble.load();
  const replies = sendAll(clock, ensemble, arrivals, () => ({
    deadlineMs,
    targetMs: deadlineMs ?? 30_000,
    tensors: REQUEST,
  }));
  await clock.run();
  ensemble.close();
  return {
    replies,
    lateWork: lateShare(
      steps.flatMap(({ runs }) => runs),
      replies,
    ),
  };
}

const ROW_SHAPE = [1, ROW_ELEMENTS];

const REQUEST: InferTensors = {
  rows: 1,
  bytes: 4 * ROW_ELEMENTS,
  size: { elements: ROW_ELEMENTS, length: 1 },
  bucket: bucketKey([ROW_SHAPE], 'rows'),
  inputs: [rowsOf(1)],
  shapes: [ROW_SHAPE],
};

function rowsOf(rows: number): Uint8Array {
  return new Uint8Array(rows * ROW_ELEMENTS * Float32Array.BYTES_PER_ELEMENT);
}

/** Each tensor has the name of the step that gives it, and each input of a step has the name of its tensor. */
function configOf({ steps, answers }: Graph): ModelConfig {
  const tensor = (name: string) => ({ name, data_type: 'TYPE_FP32' as const, dims: [ROW_ELEMENTS] });
  return MODEL_CONFIG.parse({
    max_batch_size: MAX_ROWS,
    input: [tensor('in')],
    output: answers.map(tensor),
    ensemble_scheduling: {
      step: Object.entries(steps).map(([name, { takes }]) => ({
        model_name: name,
        input_map: Object.fromEntries(takes.map((taken) => [taken, taken])),
        output_map: { y: name },
      })),
    },
    tensorgate: { max_ensemble_requests: 100_000 },
  });
}

export const ENSEMBLES: Case = {
  name: 'ensembles',
  title: 'Ensembles on one core',
  about:
    'Ensembles whose steps are models on one core. Late work is the share of the computing time, over all steps, that went ' +
    'to requests which were not answered in time.',
  run,
};
