/** The whole scheduler beside the clairvoyant optimum and the rules of peers, over a grid of curves, arrivals and loads. */

import type { ArrivalKind } from '../arrivals.ts';
import { type Bar, type Case, type CaseResult, mean, percent, type RunOptions } from '../case.ts';
import { type Cell, cellsOf, nameOf, optimumOf, peerOf, serveCell } from '../cell.ts';
import { GPU_LIKE, MINILM_32, MLP_23MB, RESNET_50 } from '../curves.ts';
import { PEERS } from '../peers.ts';

const CURVES = [GPU_LIKE, MLP_23MB, MINILM_32, RESNET_50];
const KINDS: readonly ArrivalKind[] = ['poisson', 'gamma4', 'azure-code'];
const LOADS = [0.7, 0.9, 1.2];

interface GridOptions {
  readonly name: string;
  readonly title: string;
  readonly cells: readonly Cell[];
  /** Standard deviation of the logarithm of run times. */
  readonly noise: number;
  /** Added to each seed. */
  readonly seedOffset?: number;
  readonly meanBar: number;
  readonly minBar: number;
  /** How many points a cell may be behind the best peer. */
  readonly lagBar?: number;
}

interface CellResult {
  readonly cell: Cell;
  readonly optimum: number;
  readonly ours: number;
  readonly lateWork: number;
  readonly peers: ReadonlyMap<string, number>;
}

function gridCase(grid: GridOptions): Case {
  const { name, title, noise } = grid;
  const about = `Share of the requests that are answered in time, over that of the clairvoyant optimum. ${
    noise === 0 ? 'Run times are exact' : `Run times vary by ${percent(noise, 0)} (lognormal)`
  }. The scheduler learns its latencies; the peers know the exact curve.`;
  return { name, title, about, run: (options) => runGrid(grid, options) };
}

async function runGrid(grid: GridOptions, { seeds, cells }: RunOptions): Promise<CaseResult> {
  const chosen = grid.cells.filter((cell) => cells(nameOf(cell)));
  if (chosen.length === 0) return { measures: [] };
  const used = seeds.map((seed) => seed + (grid.seedOffset ?? 0));
  const results: CellResult[] = [];
  for (const cell of chosen) results.push(await measure(cell, grid.noise, used));
  const ratios = results.map(({ ours, optimum }) => ours / optimum);
  const peerRatios = (name: string): number[] => results.map(({ peers, optimum }) => (peers.get(name) ?? 0) / optimum);
  const perPeer = (sum: (ratios: readonly number[]) => number): Record<string, number> =>
    Object.fromEntries(PEERS.map(({ name }) => [name, sum(peerRatios(name))]));
  const atLeast = (bar: number): Bar => ({ atLeast: bar });
  const lags = results.map(({ ours, peers }) => 100 * (Math.max(...peers.values()) - ours));
  return {
    measures: [
      { name: 'mean', value: mean(ratios), unit: 'ratio', bar: atLeast(grid.meanBar), peers: perPeer(mean) },
      {
        name: 'least',
        value: Math.min(...ratios),
        unit: 'ratio',
        bar: atLeast(grid.minBar),
        peers: perPeer((values) => Math.min(...values)),
      },
      {
        name: 'most behind the best peer in a cell',
        value: Math.max(...lags),
        unit: 'points',
        bar: grid.lagBar === undefined ? undefined : { atMost: grid.lagBar },
      },
      { name: 'late work', value: mean(results.map(({ lateWork }) => lateWork)), unit: 'share' },
    ],
    tables: [
      {
        title: 'Answered in time',
        columns: ['cell', 'optimum', 'tensorgate', ...PEERS.map(({ name }) => name), 'ratio', 'late work'],
        rows: results.map(({ cell, optimum, ours, lateWork, peers }) => [
          nameOf(cell),
          percent(optimum),
          percent(ours),
          ...PEERS.map(({ name }) => percent(peers.get(name) ?? 0)),
          (ours / optimum).toFixed(3),
          percent(lateWork, 2),
        ]),
      },
    ],
    charts: [
      {
        title: 'Ratio to the optimum, cell by cell',
        x: 'cell',
        y: 'ratio',
        kind: 'dots',
        series: [
          { name: 'tensorgate', values: ratios.map((ratio, index) => [index + 1, ratio]) },
          ...PEERS.filter(({ name }) => name === 'BentoML' || name === 'Nexus').map(({ name }) => ({
            name,
            values: peerRatios(name).map((ratio, index): [number, number] => [index + 1, ratio]),
          })),
        ],
      },
    ],
  };
}

async function measure(cell: Cell, noise: number, seeds: readonly number[]): Promise<CellResult> {
  const served = [];
  for (const seed of seeds) served.push(await serveCell(cell, noise, seed));
  return {
    cell,
    optimum: mean(seeds.map((seed) => optimumOf(cell, seed))),
    ours: mean(served.map(({ inTime }) => inTime)),
    lateWork: mean(served.map(({ lateWork }) => lateWork)),
    peers: new Map(PEERS.map((rule) => [rule.name, mean(seeds.map((seed) => peerOf(rule, cell, noise, seed)))])),
  };
}

const CELLS = cellsOf(CURVES, KINDS, LOADS);
const HELD_OUT = [
  ...cellsOf(CURVES, ['gamma2', 'gamma8', 'flash', 'azure-conversation'], LOADS),
  ...cellsOf(CURVES, KINDS, [0.8, 1, 1.5]),
];

/** Names of the cells of all grids. */
export const CELL_NAMES: readonly string[] = [...CELLS, ...HELD_OUT].map(nameOf);

export const GRID_CASES: readonly Case[] = [
  gridCase({ name: 'grid', title: '36 cells', cells: CELLS, noise: 0, meanBar: 0.989, minBar: 0.955, lagBar: 1 }),
  gridCase({ name: 'grid-10', title: '36 cells, 10 % noise', cells: CELLS, noise: 0.1, meanBar: 0.97, minBar: 0.92 }),
  gridCase({ name: 'grid-25', title: '36 cells, 25 % noise', cells: CELLS, noise: 0.25, meanBar: 0.92, minBar: 0.85 }),
  gridCase({
    name: 'held-out',
    title: 'Other cells and seeds',
    cells: HELD_OUT,
    noise: 0,
    seedOffset: 100,
    meanBar: 0.985,
    minBar: 0.94,
  }),
];
