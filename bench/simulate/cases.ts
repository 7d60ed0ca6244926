/** All cases, in the order of the report. */

import type { Case } from './case.ts';
import { GRID_CASES } from './cases/grid.ts';
import { LOCK_OUT } from './cases/lock-out.ts';
import { MAXIMAL_RATE } from './cases/maximal-rate.ts';
import { MIXED_DEADLINES } from './cases/mixed-deadlines.ts';
import { HEAVY_TAIL, NEUTRALITY } from './cases/neutrality.ts';
import { NO_DEADLINE } from './cases/no-deadline.ts';
import { SUPERLINEAR } from './cases/superlinear.ts';

export const CASES: readonly Case[] = [
  ...GRID_CASES,
  MAXIMAL_RATE,
  NO_DEADLINE,
  MIXED_DEADLINES,
  LOCK_OUT,
  NEUTRALITY,
  HEAVY_TAIL,
  SUPERLINEAR,
];
