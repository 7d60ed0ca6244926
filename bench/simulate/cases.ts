/** All cases, in the order of the report. */

import type { Case } from './case.ts';
import { GRID_CASES } from './cases/grid.ts';

export const CASES: readonly Case[] = [...GRID_CASES];
