/** A cell of the grid: one curve, one kind of arrivals, one load. */

import { type ArrivalKind, arrivalsOf } from './arrivals.ts';
import { sendAll } from './client.ts';
import { type Curve, capacity, runMs } from './curves.ts';
import { SimulatedInstances } from './instances.ts';
import { makeScheduler, warmUp } from './model.ts';
import { optimum } from './oracle.ts';
import { type PeerRule, sharePeer } from './peers.ts';
import { lateShare } from './scenario.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface Cell {
  readonly curve: Curve;
  readonly kind: ArrivalKind;
  /** Offered rate as a share of the capacity. */
  readonly load: number;
  readonly requests: number;
}

export type CellFilter = (name: string) => boolean;

export function nameOf({ curve, kind, load }: Cell): string {
  return `${curve.name}/${kind}/${load}`;
}

/** Slow models get fewer requests: all cells last equally long. */
export function cellsOf(curves: readonly Curve[], kinds: readonly ArrivalKind[], loads: readonly number[]): Cell[] {
  return curves.flatMap((curve) =>
    kinds.flatMap((kind) => loads.map((load) => ({ curve, kind, load, requests: capacity(curve) < 0.1 ? 800 : 2500 }))),
  );
}

export function arrivalsOfCell({ curve, kind, load, requests }: Cell, seed: number): Float64Array {
  return arrivalsOf(kind, load * capacity(curve), requests, seed);
}

const optima = new Map<string, number>();

/** Share of the requests that the clairvoyant optimum answers in time. */
export function optimumOf(cell: Cell, seed: number): number {
  const key = `${nameOf(cell)}/${cell.requests}/${cell.curve.sloMs}/${seed}`;
  const known = optima.get(key);
  if (known !== undefined) return known;
  const { curve, requests } = cell;
  const share = optimum(arrivalsOfCell(cell, seed), curve.table, curve.sloMs) / requests;
  optima.set(key, share);
  return share;
}

/** Seed of the noise of runs, the same for us and for the peers. */
const noiseSeed = (seed: number): number => seed + 88;

/** Share that a peer's rule answers in time. */
export function peerOf(rule: PeerRule, cell: Cell, noise: number, seed: number): number {
  const { curve } = cell;
  const options = { sloMs: curve.sloMs, noise, seed: noiseSeed(seed) };
  return sharePeer(rule, arrivalsOfCell(cell, seed), curve, options);
}

export interface Served {
  /** Share of the requests that were answered in time. */
  readonly inTime: number;
  /** Share of the computing time that went to requests which were not answered in time. */
  readonly lateWork: number;
}

/** What the whole scheduler makes of a cell, with a learned latency. */
export async function serveCell(cell: Cell, noise: number, seed: number): Promise<Served> {
  const { curve, requests } = cell;
  using clock = new VirtualClock();
  const cost = ({ rows }: { readonly rows: number }): number => runMs(curve, rows);
  const instances = new SimulatedInstances(clock, { cost, noise, seed: noiseSeed(seed) });
  const scheduler = makeScheduler({ maxRows: curve.maxRows }, instances);
  warmUp(scheduler, curve);
  const replies = sendAll(clock, scheduler, arrivalsOfCell(cell, seed), () => ({ deadlineMs: curve.sloMs }));
  await clock.run();
  return {
    inTime: replies.filter(({ fate }) => fate === 'in_time').length / requests,
    lateWork: lateShare(instances.runs, replies),
  };
}
