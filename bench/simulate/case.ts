/** What a case of the simulation is, and what it finds. */

import type { CellFilter } from './cell.ts';
import type { Chart } from './chart.ts';

export interface RunOptions {
  /** Seeds of the arrivals; figures are means over them. */
  readonly seeds: readonly number[];
  /** Fewer cells, loads and seconds: what a test can wait for. */
  readonly isShort: boolean;
  /** Which cells of a grid run. */
  readonly cells: CellFilter;
}

/** A goal of a figure. */
export type Bar = { readonly atLeast: number } | { readonly atMost: number };

export type Unit = 'share' | 'ms' | 'points' | 'ratio';

/** One figure, its goal where it has one, and the same figure of the peers in the same run. */
export interface Measure {
  readonly name: string;
  readonly value: number;
  readonly unit: Unit;
  readonly bar?: Bar | undefined;
  readonly peers?: Readonly<Record<string, number>>;
}

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface CaseResult {
  readonly measures: readonly Measure[];
  readonly tables?: readonly Table[];
  readonly charts?: readonly Chart[];
}

export interface Case {
  readonly name: string;
  readonly title: string;
  /** The scenario, and the reason for it. */
  readonly about: string;
  run(options: RunOptions): Promise<CaseResult>;
}

/** Whether a figure reaches its goal; `undefined` where it has none. */
export function reaches({ value, bar }: Measure): boolean | undefined {
  if (bar === undefined) return undefined;
  return 'atLeast' in bar ? value >= bar.atLeast : value <= bar.atMost;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The value that a `share` of all does not pass. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function percent(share: number, digits = 1): string {
  return `${(100 * share).toFixed(digits)} %`;
}
