/** All cases, in the order of the report. */

import type { Case } from './case.ts';
import { ADAPTATION } from './cases/adaptation.ts';
import { CLOSED_LOOP } from './cases/closed-loop.ts';
import { ENSEMBLES } from './cases/ensembles.ts';
import { NEIGHBOURS, PRIORITIES, TENANTS } from './cases/fairness.ts';
import { GRID_CASES } from './cases/grid.ts';
import { LOCK_OUT } from './cases/lock-out.ts';
import { MAXIMAL_RATE } from './cases/maximal-rate.ts';
import { MIXED_DEADLINES } from './cases/mixed-deadlines.ts';
import { HEAVY_TAIL, NEUTRALITY } from './cases/neutrality.ts';
import { NO_DEADLINE } from './cases/no-deadline.ts';
import { LENGTHS, SHAPES } from './cases/shapes.ts';
import { SUPERLINEAR } from './cases/superlinear.ts';

export const CASES: readonly Case[] = [
  ...GRID_CASES,
  MAXIMAL_RATE,
  NO_DEADLINE,
  CLOSED_LOOP,
  MIXED_DEADLINES,
  TENANTS,
  PRIORITIES,
  NEIGHBOURS,
  LOCK_OUT,
  NEUTRALITY,
  HEAVY_TAIL,
  SUPERLINEAR,
  SHAPES,
  LENGTHS,
  ENSEMBLES,
  ADAPTATION,
];
