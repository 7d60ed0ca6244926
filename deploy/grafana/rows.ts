/** The rows of the dashboard, from the first question of an operator on. */

import type { RowPlan } from './panel.ts';
import { CAPACITY } from './rows/capacity.ts';
import { WHICH_MODEL } from './rows/models.ts';
import { PROCESS, WEEKS } from './rows/process.ts';
import { PORTS, ROLLOUTS } from './rows/traffic.ts';

export const ROWS: readonly RowPlan[] = [
  { title: 'Which model is slow, and why', collapsed: false, panels: WHICH_MODEL },
  { title: 'Capacity', collapsed: true, panels: CAPACITY },
  { title: 'Shadows and rollouts', collapsed: true, panels: ROLLOUTS },
  { title: 'Ports and tenants', collapsed: true, panels: PORTS },
  { title: 'The gateway process', collapsed: true, panels: PROCESS },
  { title: 'Weeks', collapsed: true, panels: WEEKS },
];
