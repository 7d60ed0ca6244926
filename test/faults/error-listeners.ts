/**
 * Loaded into a server before its own code (`node --import`): on SIGUSR2 it writes to the file that ERROR_LISTENERS names a line
 * for each socket, server and child process that is open and has no listener to `error`: any of them could end the process.
 */

import { EventEmitter } from 'node:events';
import fs from 'node:fs';

const file = process.env['ERROR_LISTENERS'];

// Runners inherit the environment, and are not meant.
if (file !== undefined && process.argv[1]?.endsWith('/main.ts') === true) {
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles(): readonly unknown[] };
  process.on('SIGUSR2', () => {
    const emitters = handles.call(process).filter((handle) => handle instanceof EventEmitter);
    const deaf = emitters.filter((emitter) => emitter.listenerCount('error') === 0);
    const lines = [`${emitters.length} open`, ...deaf.map((emitter) => emitter.constructor.name)];
    fs.appendFileSync(file, `${lines.join(' ')}\n`);
  });
}
