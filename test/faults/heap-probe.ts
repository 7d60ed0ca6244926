/**
 * Loaded into a server before its own code (`node --import`): on SIGUSR2 it collects garbage, and writes how many bytes are
 * still in use, in the heap and outside it, to the file that HEAP_PROBE_FILE names. What the system says of a process is no
 * measure of that: a heap keeps what it once had.
 */

import fs from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const file = process.env['HEAP_PROBE_FILE'];

// Runners inherit the environment, and are not meant.
if (file !== undefined && process.argv[1]?.endsWith('/main.ts') === true) {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  process.on('SIGUSR2', async () => {
    // Array buffers are freed on another thread, some time after.
    for (let round = 0; round < 4; round++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { heapUsed, external } = process.memoryUsage();
    fs.writeFileSync(`${file}.new`, String(heapUsed + external));
    fs.renameSync(`${file}.new`, file);
  });
}
