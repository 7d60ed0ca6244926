/** Callers beside a flood: a tenant beside a greedy one, an urgent level beside a less urgent one, a model beside another. */

import { Device } from '../../../src/gateway/batch/device.ts';
import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, percent, type RunOptions } from '../case.ts';
import { sendAll } from '../client.ts';
import { Cores } from '../cores.ts';
import { CNN, type Curve, capacity, GPU_LIKE, MINILM_32, runMs } from '../curves.ts';
import { SimulatedInstances } from '../instances.ts';
import { makeScheduler, warmUp } from '../model.ts';
import {
  answerMs,
  fatesText,
  goodput,
  inTimeShare,
  merge,
  type ReplyFilter,
  type Stream,
  sentIn,
  serve,
} from '../scenario.ts';
import { serveTriton } from '../triton.ts';
import { VirtualClock } from '../virtual-clock.ts';

/** Share of what the victim gets when it is the only one. */
const BAR = 0.98;
const SETTLE_MS = 1_000;
const COLUMNS = ['victim', 'beside', 'alone', 'beside it', 'p99', 'others', 'flood answered'];

const later: ReplyFilter = (reply) => sentIn(SETTLE_MS)(reply);

function stream(curve: Curve, load: number, spanMs: number, seed: number, plan: Stream['plan']): Stream {
  const rate = load * capacity(curve);
  return { arrivals: poisson(rate, Math.ceil(rate * spanMs), seed), plan };
}

interface Flood {
  readonly curve: Curve;
  readonly victimLoad: number;
  readonly floodLoad: number;
  readonly floodDeadlineMs: number | undefined;
}

function textOf({ floodLoad, floodDeadlineMs }: Flood): string {
  return `${floodLoad}x, ${floodDeadlineMs === undefined ? 'no deadline' : `${floodDeadlineMs} ms`}`;
}

/** A victim and a flood on one model. `flood` and `victim` add their differences. */
async function besideFlood(
  { curve, victimLoad, floodLoad, floodDeadlineMs }: Flood,
  spanMs: number,
  seed: number,
  victim: Stream['plan'],
  flood: Stream['plan'],
  levels: number,
): Promise<{ readonly ratio: number; readonly peers: Record<string, number>; readonly row: readonly string[] }> {
  const deadlineMs = curve.sloMs;
  const own = stream(curve, victimLoad, spanMs, seed, { deadlineMs, label: 'victim', ...victim });
  const other = stream(curve, floodLoad, spanMs, seed + 1, {
    deadlineMs: floodDeadlineMs,
    targetMs: floodDeadlineMs ?? 30_000,
    label: 'flood',
    ...flood,
  });
  const alone = inTimeShare((await serve({ curve, ...merge([own]), levels })).replies, later);
  const requests = merge([own, other]);
  const { replies } = await serve({ curve, ...requests, levels });
  const triton = serveTriton(curve, requests, 0.05);
  const isVictim: ReplyFilter = (reply) => reply.label === 'victim' && later(reply);
  const isFlood: ReplyFilter = (reply) => reply.label === 'flood';
  const peers = { 'Triton without priorities': inTimeShare(triton, isVictim) / alone };
  const share = inTimeShare(replies, isVictim);
  const floodShare = goodput(replies, SETTLE_MS, spanMs, isFlood) / capacity(curve);
  const row = [
    percent(alone),
    percent(share),
    `${answerMs(replies, 0.99, isVictim).toFixed(0)} ms`,
    fatesText(replies, isVictim),
    `${floodShare.toFixed(2)} of capacity`,
  ];
  return { ratio: share / alone, peers, row };
}

async function runTenants({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const floods: readonly Flood[] = [
    { curve: CNN, victimLoad: 0.3, floodLoad: 3, floodDeadlineMs: 100 },
    { curve: CNN, victimLoad: 0.3, floodLoad: 3, floodDeadlineMs: undefined },
    { curve: CNN, victimLoad: 0.3, floodLoad: 10, floodDeadlineMs: undefined },
    { curve: CNN, victimLoad: 0.05, floodLoad: 10, floodDeadlineMs: 1_000 },
    { curve: GPU_LIKE, victimLoad: 0.3, floodLoad: 3, floodDeadlineMs: 25 },
    { curve: MINILM_32, victimLoad: 0.3, floodLoad: 3, floodDeadlineMs: undefined },
  ];
  const measures: Measure[] = [];
  const rows: string[][] = [];
  for (const flood of isShort ? floods.slice(0, 4) : floods) {
    const spanMs = isShort ? 3_000 : capacity(flood.curve) > 1 ? 4_000 : 8_000;
    const { ratio, peers, row } = await besideFlood(
      flood,
      spanMs,
      seeds[0] ?? 1,
      { tenant: 'quiet' },
      { tenant: 'greedy' },
      1,
    );
    const name = `${flood.curve.name} at ${flood.victimLoad} beside ${textOf(flood)}`;
    measures.push({ name, value: ratio, unit: 'ratio', bar: { atLeast: BAR }, peers });
    rows.push([`${flood.curve.name} at ${flood.victimLoad}`, textOf(flood), ...row]);
  }
  return { measures, tables: [{ title: 'The quiet tenant', columns: COLUMNS, rows }] };
}

async function runPriorities({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const floods: readonly Flood[] = [
    { curve: CNN, victimLoad: 0.36, floodLoad: 0.84, floodDeadlineMs: undefined },
    { curve: CNN, victimLoad: 0.6, floodLoad: 1.4, floodDeadlineMs: undefined },
    { curve: CNN, victimLoad: 0.6, floodLoad: 1.4, floodDeadlineMs: 100 },
    { curve: CNN, victimLoad: 0.3, floodLoad: 5, floodDeadlineMs: 2_000 },
    { curve: MINILM_32, victimLoad: 0.3, floodLoad: 3, floodDeadlineMs: undefined },
  ];
  const measures: Measure[] = [];
  const rows: string[][] = [];
  for (const flood of isShort ? floods.slice(1, 4) : floods) {
    const { ratio, peers, row } = await besideFlood(
      flood,
      isShort ? 3_000 : 8_000,
      seeds[0] ?? 1,
      { level: 1 },
      { level: 2 },
      2,
    );
    const name = `${flood.curve.name} at ${flood.victimLoad} beside ${textOf(flood)}`;
    measures.push({ name, value: ratio, unit: 'ratio', bar: { atLeast: BAR }, peers });
    rows.push([`${flood.curve.name} at ${flood.victimLoad}`, textOf(flood), ...row]);
  }
  return { measures, tables: [{ title: 'The urgent level', columns: COLUMNS, rows }] };
}

interface Neighbour {
  /** Cores that both models share. */
  readonly cores: number;
  readonly small: Curve;
  readonly smallLoad: number;
  readonly deadlineMs: number;
  readonly large: Curve;
  readonly instances: number;
  readonly largeDeadlineMs: number | undefined;
}

async function runNeighbours({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const some = { cores: 1, small: CNN, smallLoad: 0.3, deadlineMs: 50, large: CNN };
  const neighbours: readonly Neighbour[] = [
    { ...some, instances: 4, largeDeadlineMs: undefined },
    { ...some, instances: 4, largeDeadlineMs: 100 },
    { ...some, instances: 1, largeDeadlineMs: undefined },
    { ...some, instances: 1, largeDeadlineMs: 100 },
    { ...some, smallLoad: 0.1, instances: 8, largeDeadlineMs: undefined },
    { ...some, cores: 2, instances: 4, largeDeadlineMs: undefined },
    { ...some, deadlineMs: 300, large: MINILM_32, instances: 4, largeDeadlineMs: undefined },
  ];
  const measures: Measure[] = [];
  const rows: string[][] = [];
  for (const neighbour of isShort ? neighbours.slice(0, 3) : neighbours) {
    const { small, smallLoad, large, instances, cores, largeDeadlineMs } = neighbour;
    const alone = await serveBoth(neighbour, 0, isShort ? 3_000 : 8_000, seeds[0] ?? 1);
    const both = await serveBoth(neighbour, 2, isShort ? 3_000 : 8_000, seeds[0] ?? 1);
    const beside = `${large.name}, ${instances} instances at 2x, ${largeDeadlineMs === undefined ? 'no deadline' : `${largeDeadlineMs} ms`}, ${cores} cores`;
    const name = `${small.name} at ${smallLoad} beside ${beside}`;
    measures.push({ name, value: both.small / alone.small, unit: 'ratio', bar: { atLeast: BAR } });
    rows.push([
      `${small.name} at ${smallLoad}`,
      beside,
      percent(alone.small),
      percent(both.small),
      both.p99,
      both.others,
      both.large,
    ]);
  }
  return { measures, tables: [{ title: 'The small model', columns: COLUMNS, rows }] };
}

/** Two models on the same cores, at loads of one core each. */
async function serveBoth(
  { cores, small, smallLoad, deadlineMs, large, instances, largeDeadlineMs }: Neighbour,
  largeLoad: number,
  spanMs: number,
  seed: number,
): Promise<Record<'small', number> & Record<'p99' | 'others' | 'large', string>> {
  using clock = new VirtualClock();
  const shared = new Cores(clock, cores);
  const place = { device: new Device(cores), cores: 1, background: false };
  const [own, other] = [small, large].map((curve, index) => {
    const executor = new SimulatedInstances(clock, {
      cost: ({ rows }) => runMs(curve, rows),
      instances: index === 0 ? 1 : instances,
      noise: 0.05,
      seed: index + 3,
      cores: shared,
    });
    const scheduler = makeScheduler({ maxRows: curve.maxRows, place }, executor);
    warmUp(scheduler, curve);
    return scheduler;
  });
  if (own === undefined || other === undefined) throw new TypeError('there are two models');
  const quiet = stream(small, smallLoad, spanMs, seed, { deadlineMs });
  const flood = stream(large, largeLoad * cores, spanMs, seed + 1, {
    deadlineMs: largeDeadlineMs,
    targetMs: largeDeadlineMs ?? 30_000,
  });
  const replies = sendAll(clock, own, quiet.arrivals, () => quiet.plan);
  const floodReplies = sendAll(clock, other, flood.arrivals, () => flood.plan);
  await clock.run();
  return {
    small: inTimeShare(replies, later),
    p99: `${answerMs(replies, 0.99, later).toFixed(0)} ms`,
    others: fatesText(replies, later),
    large: `${(goodput(floodReplies, SETTLE_MS, spanMs) / capacity(large)).toFixed(2)} of a core`,
  };
}

const ALONE = 'Its share in time, over that without the flood.';

export const TENANTS: Case = {
  name: 'tenants',
  title: 'A quiet tenant beside a greedy one',
  about: `A tenant within its part of the capacity, beside another that floods the model. ${ALONE}`,
  run: runTenants,
};

export const PRIORITIES: Case = {
  name: 'priorities',
  title: 'An urgent level beside a less urgent one',
  about: `Requests of priority 1 with deadlines, beside a backlog of priority 2. ${ALONE}`,
  run: runPriorities,
};

export const NEIGHBOURS: Case = {
  name: 'neighbours',
  title: 'A small model beside a flooded one',
  about: `Two models share cores; runs that are more than the cores slow each other. ${ALONE}`,
  run: runNeighbours,
};
