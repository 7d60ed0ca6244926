/**
 * Loaded into a server before its own code (`node --import`): on SIGUSR2 the system refuses it new processes with the code that
 * PROCESS_SHORTAGE names, until the next SIGUSR2. It stands in for shortages that would concern the whole machine.
 */

import { type ProcessShortage, refuseProcesses, type ShortageCode } from '../support/process-shortage.ts';

const code = process.env['PROCESS_SHORTAGE'];

// Runners inherit the environment, and are not meant.
if (code !== undefined && process.argv[1]?.endsWith('/main.ts') === true) {
  let shortage: ProcessShortage | undefined;
  process.on('SIGUSR2', () => {
    if (shortage === undefined) shortage = refuseProcesses(code as ShortageCode);
    else {
      shortage.end();
      shortage = undefined;
    }
  });
}
