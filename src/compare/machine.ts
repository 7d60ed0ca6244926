/** Where a comparison was made: what its speeds mean nothing without. */

import os from 'node:os';
import { arithmeticFlags, arithmeticHere } from '../gateway/repository/arithmetic.ts';
import type { Machine } from './report.ts';

/** @param loadBefore the load average when the measuring began. */
export function describeMachine(loadBefore: number): Machine {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    ...arithmeticHere(),
    flags: arithmeticFlags(),
    memoryBytes: os.totalmem(),
    system: `${os.type()} ${os.release()} ${process.arch}`,
    node: process.versions.node,
    threads: 1,
    loadAverage: [round(loadBefore), round(loadAverage())],
  };
}

/** Processes that ran or waited for a core over the last minute, on average. */
export function loadAverage(): number {
  return os.loadavg()[0] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
