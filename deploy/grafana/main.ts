/** `npm run grafana`: writes the dashboard from the metrics. With `--check` it only compares, and exits with 1 if they differ. */

import fs from 'node:fs';
import path from 'node:path';
import { DASHBOARD_FILE, dashboard } from './dashboard.ts';

const file = path.join(import.meta.dirname, '../..', DASHBOARD_FILE);
const made = dashboard();
if (!process.argv.includes('--check')) {
  fs.writeFileSync(file, made);
  console.log(`${DASHBOARD_FILE}: ${made.length} bytes`);
} else if (!fs.existsSync(file) || fs.readFileSync(file, 'utf8') !== made) {
  console.error(`${DASHBOARD_FILE} is not made from the metrics as they are: run npm run grafana`);
  process.exitCode = 1;
}
