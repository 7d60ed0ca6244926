import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

const MAX_START_MS = 60_000;

/** Passes on what the server says until it is ready, and returns its gRPC address. */
export async function readAddress(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new TypeError('the server has no stdout');
  const timer = setTimeout(() => child.kill('SIGKILL'), MAX_START_MS);
  try {
    for await (const line of createInterface(child.stdout)) {
      console.log(line);
      const address = /^tensorgate ready: grpc ([^,]+)/.exec(line)?.[1];
      if (address !== undefined) return address;
    }
  } finally {
    clearTimeout(timer);
  }
  throw new Error(`the server ended, or was not ready after ${MAX_START_MS / 1000} s`);
}
