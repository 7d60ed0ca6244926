/**
 * The runner process: entry point of the child that holds ONNX Runtime. It knows nothing of gRPC, queues or clients.
 *
 * Each instance is a piscina pool of one thread. One pool of many threads would not do: in piscina 5.3 `close()` with two
 * busy threads destroys the others, and a thread stopped inside a native run aborts the whole process.
 *
 * K1: no task is aborted and no pool is destroyed while its thread runs; only the gateway ends a run, by killing this process.
 */

import { extname } from 'node:path';
import { Piscina } from 'piscina';
import type { FromRunner, Run, RunFault, RunResult, SessionInfo, SessionSpec, ToRunner } from './protocol.ts';

// `.ts` in a checkout, `.js` in the package.
const INSTANCE_MODULE = new URL(`./model-instance${extname(import.meta.url)}`, import.meta.url).href;

const instances = new Map<number, Piscina>();
let running = 0;

process.on('message', (message: ToRunner) => {
  switch (message.kind) {
    case 'load':
      return void load(message.instance, message.mailboxPath, message.spec);
    case 'run':
      return void run(message.instance, message.sequence, message.run);
    case 'unload':
      return void unload(message.instance);
  }
});

// The gateway alone decides when a runner ends; a terminal's Ctrl-C reaches the whole process group.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => {
  // The gateway is gone. process.exit() while a thread is inside a native run would abort with a core dump.
  if (running > 0) process.kill(process.pid, 'SIGKILL');
  else process.exit(0);
});

async function load(instance: number, mailboxPath: string, spec: SessionSpec): Promise<void> {
  const pool = new Piscina({
    filename: INSTANCE_MODULE,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
  });
  // A thread whose module cannot be loaded never settles its tasks; this is the only sign of it.
  pool.on('error', (error: Error) => send({ kind: 'load-failed', instance, message: error.message }));
  running++;
  try {
    const info: SessionInfo = await pool.run({ mailboxPath, spec }, { name: 'load' });
    instances.set(instance, pool);
    send({ kind: 'loaded', instance, info });
  } catch (error) {
    send({ kind: 'load-failed', instance, message: textOf(error) });
    await pool.close();
  } finally {
    running--;
  }
}

async function run(instance: number, sequence: number, batch: Run): Promise<void> {
  running++;
  try {
    const pool = instances.get(instance);
    if (pool === undefined) throw new Error(`no instance ${instance}`);
    const result: RunResult = await pool.run(batch, { name: 'run' });
    send({ kind: 'ran', instance, sequence, result });
  } catch (error) {
    const message = textOf(error);
    send({ kind: 'run-failed', instance, sequence, fault: faultOf(message), message });
  } finally {
    running--;
  }
}

async function unload(instance: number): Promise<void> {
  const pool = instances.get(instance);
  instances.delete(instance);
  if (pool !== undefined) {
    await pool.run(undefined, { name: 'unload' });
    await pool.close();
  }
  send({ kind: 'unloaded', instance });
}

function send(message: FromRunner): void {
  process.send?.(message);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * ONNX Runtime's binding throws plain Errors without a code. After validation, a kernel that fails ("Non-zero status code
 * returned while running …") does so because of the values it was given, unless it could not get memory.
 */
function faultOf(message: string): RunFault {
  if (/^ENOSPC\b/.test(message)) return 'room';
  return /Non-zero status code returned while running/.test(message) && !/bad_alloc|failed to allocate/i.test(message)
    ? 'data'
    : 'internal';
}
