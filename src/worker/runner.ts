/**
 * The runner process: entry point of the child that holds ONNX Runtime. It knows nothing of gRPC, queues or clients.
 *
 * Each instance is a piscina pool of one thread, whose one long task is to serve the instance's run channel; this main thread
 * sees loads and unloads only. One pool of many threads would not do: in piscina 5.3 `close()` with two busy threads destroys
 * the others, and a thread stopped inside a native run aborts the whole process.
 *
 * WORKER-1: no task is aborted and no pool is destroyed while its thread runs; only the gateway ends a run, by killing this process.
 */

import { flushCompileCache } from 'node:module';
import { extname } from 'node:path';
import { Piscina } from 'piscina';
import { optimizeEarly } from '../early-optimization.ts';
import { messageOf } from '../error-message.ts';
import { keepWrappers } from '../source-threads.ts';
import type { FromRunner, InstanceSpec, LoadedInstance, SessionSpec, ToRunner } from './protocol.ts';

// `.ts` in a checkout, `.js` in the package.
const THREAD_MODULE = new URL(`./instance-thread${extname(import.meta.url)}`, import.meta.url).href;

interface Instance {
  readonly pool: Piscina;
  /** Resolves when the thread has left its run channel and freed the session. */
  readonly served: Promise<void>;
}

const instances = new Map<number, Instance>();

keepWrappers(import.meta.url);

process.on('message', (message: ToRunner) => {
  switch (message.kind) {
    case 'load':
      return void load(message.instance, message.spec);
    case 'unload':
      return void unload(message.instance);
  }
});

// Only the gateway ends a runner; a terminal's Ctrl-C reaches the whole process group.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// The gateway is gone, and nothing here is worth keeping. process.exit() while a thread is inside a native run would abort
// with a core dump.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

async function load(instance: number, spec: InstanceSpec): Promise<void> {
  const pool = new Piscina({
    filename: THREAD_MODULE,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
    ...heapLimits(spec.session),
  });
  // A thread whose module cannot be loaded never settles its tasks; this is the only sign of it.
  pool.on('error', (error: Error) => send({ kind: 'load-failed', instance, message: error.message }));
  try {
    const loaded: LoadedInstance = await pool.run(spec, { name: 'load' });
    // Where it fails the channel ends, by which the gateway knows; it logs the reason, such as a heap that is full.
    const served = pool.run(undefined, { name: 'serve' }).catch((error) => process.emitWarning(messageOf(error)));
    instances.set(instance, { pool, served });
    send({ kind: 'loaded', instance, ...loaded });
    flushCompileCache();
    optimizeEarly();
  } catch (error) {
    send({ kind: 'load-failed', instance, message: messageOf(error) });
    await pool.close();
  }
}

/** A module of a user that takes more heap ends its thread, and with it this process. */
function heapLimits({ step }: SessionSpec): { resourceLimits?: { maxOldGenerationSizeMb: number } } {
  return step?.kind === 'javascript' ? { resourceLimits: { maxOldGenerationSizeMb: step.maxHeapMb } } : {};
}

async function unload(instance: number): Promise<void> {
  const found = instances.get(instance);
  instances.delete(instance);
  if (found !== undefined) {
    await found.served;
    await found.pool.close();
  }
  send({ kind: 'unloaded', instance });
}

function send(message: FromRunner): void {
  process.send?.(message);
}
