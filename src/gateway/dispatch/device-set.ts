/** The devices that the runners of a server share: the cores of the machine, and each GPU. */

import type { ExecutionProvider, SessionSpec } from '../../worker/protocol.ts';
import { Device } from '../batch/device.ts';

/** Runs that a GPU takes at a time: one computes while the tensors of another are copied. */
const RUNS_PER_GPU = 2;

/** Where the instances of a version run. */
export interface DevicePlace {
  readonly device: Device;
  /** Cores that one of its runs takes. */
  readonly cores: number;
}

export class DeviceSet {
  readonly #cores: number;
  readonly #processor: Device;
  readonly #gpus = new Map<number, Device>();

  /** @param cores that runners may use; infinite where they need not share any. */
  constructor(cores = Number.POSITIVE_INFINITY) {
    this.#cores = cores;
    this.#processor = new Device(cores);
  }

  /**
   * The device of a version's instances. Instances on several devices share none with other versions: which of them runs a batch
   * is not known before it is sent.
   * @param provider that their sessions run on
   */
  placeOf(provider: ExecutionProvider, sessions: readonly SessionSpec[]): DevicePlace {
    const [first] = sessions;
    if (first === undefined || !sessions.every((session) => isBeside(first, session))) {
      return { device: new Device(), cores: 1 };
    }
    if (provider === 'cpu') return { device: this.#processor, cores: Math.min(this.#cores, coresOf(first)) };
    return { device: this.#gpu(first.deviceId), cores: 1 };
  }

  #gpu(id: number): Device {
    const device = this.#gpus.get(id) ?? new Device(RUNS_PER_GPU);
    this.#gpus.set(id, device);
    return device;
  }
}

function isBeside(one: SessionSpec, other: SessionSpec): boolean {
  return one.deviceId === other.deviceId && one.providers.join() === other.providers.join();
}

/** ONNX Runtime takes all cores where a count of threads is 0. A step runs in one thread. */
function coresOf(spec: SessionSpec): number {
  if (spec.step !== undefined) return 1;
  const { intraOpNumThreads, interOpNumThreads, executionMode } = spec.options;
  const counts = executionMode === 'parallel' ? [intraOpNumThreads, interOpNumThreads] : [intraOpNumThreads];
  return counts.includes(0) ? Number.POSITIVE_INFINITY : counts.reduce((product, count) => product * count, 1);
}
