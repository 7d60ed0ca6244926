/** A system that refuses new processes: Node's own code takes the refusal from libuv, as in a shortage that is real. */

import { ChildProcess, type Serializable } from 'node:child_process';
import os from 'node:os';

export type ShortageCode = 'EMFILE' | 'ENFILE' | 'ENOMEM' | 'EAGAIN';

export interface ProcessShortage {
  /** Processes that were refused. */
  readonly refused: number;
  end(): void;
}

/** A method that is not in the types of Node: it starts each process, through a handle of libuv. */
const prototype = ChildProcess.prototype as unknown as {
  spawn(this: { _handle: { spawn: () => number } }, options: Serializable): unknown;
};

/** Until `end` is called, no process can be started by this one. */
export function refuseProcesses(code: ShortageCode): ProcessShortage {
  const { spawn } = prototype;
  let refused = 0;
  prototype.spawn = function refuse(options) {
    refused++;
    this._handle.spawn = () => -os.constants.errno[code];
    return spawn.call(this, options);
  };
  return {
    get refused() {
      return refused;
    },
    end: () => {
      prototype.spawn = spawn;
    },
  };
}
