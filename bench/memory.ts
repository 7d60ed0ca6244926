/** Resident memory of the gateway process. */

import fs from 'node:fs';
import path from 'node:path';
import { startGateway } from './processes.ts';
import { heading, spread } from './report.ts';

const SETTLE_MS = 2_000;

export async function memory(scratch: string, rounds: number): Promise<void> {
  heading('Resident memory of the gateway process with no models');
  const repository = path.join(scratch, 'memory');
  fs.mkdirSync(repository);
  const figures: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const gateway = await startGateway(repository);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    figures.push(gateway.rssMiB());
    await gateway.stop();
  }
  console.log(`${spread(figures, 0)} MiB  (goal: at most 120)`);
}
