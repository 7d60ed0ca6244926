/** The names of services, as every process of the sandbox finds them: there is no DNS. */

import fs from 'node:fs';
import path from 'node:path';
import { WORK } from './sandbox.ts';

const known = new Set<string>();

/** Only ever appends, because others read the file at any moment. */
export function addHost(address: string, names: readonly string[]): void {
  const line = `${address} ${names.join(' ')}\n`;
  if (known.has(line)) return;
  known.add(line);
  fs.appendFileSync(path.join(WORK, 'hosts'), line);
}
