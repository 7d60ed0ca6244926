/**
 * Loaded into a server before its own code (`node --import`): measures how much CPU time the event loop's thread spends
 * between two of its ticks. A turn that holds the loop shows as one long tick, on a busy machine as on a quiet one. The Unix
 * socket in the abstract namespace that LOOP_PROBE names answers each connection with the ticks since the last one, as JSON.
 */

import { createServer } from 'node:net';

const socket = process.env['LOOP_PROBE'];
const TICK_MS = 1;

/** CPU time of this thread, in milliseconds. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

// Runners inherit the environment, and are not meant.
if (socket !== undefined && process.argv[1]?.endsWith('/main.ts') === true) {
  let ticks: number[] = [];
  let last = cpuMs();
  setInterval(() => {
    const now = cpuMs();
    ticks.push(now - last);
    last = now;
  }, TICK_MS).unref();
  createServer((peer) => {
    peer.on('error', () => {});
    peer.end(JSON.stringify(ticks));
    ticks = [];
  })
    .listen(`\0${socket}`)
    .unref();
}
