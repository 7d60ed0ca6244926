/** A finding of a check of the machine. */

import type { ExecutionProvider, ProviderRefusal } from '../../../worker/protocol.ts';

/** `warn`: it serves, but not as it could or was asked to; `fail`: it does not serve. */
export type Level = 'ok' | 'warn' | 'fail';

export interface Finding {
  readonly level: Level;
  /** The checked object, such as `mailbox` or `model cifar10 version 2`. */
  readonly subject: string;
  readonly text: string;
  readonly advice?: string;
  /** Provider of each instance, for a model version that loads. */
  readonly instances?: readonly InstancePlacement[];
}

export interface InstancePlacement {
  readonly provider: ExecutionProvider;
  /** The GPU; `undefined` on the CPU. */
  readonly deviceId: number | undefined;
  /** The providers that were preferred, and ONNX Runtime's reason against each. */
  readonly refusals: readonly ProviderRefusal[];
}

const KiB = 1024;
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Such as `512 MiB` or `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log(Math.max(1, bytes)) / Math.log(KiB)));
  return `${Number((bytes / KiB ** power).toFixed(1))} ${UNITS[power]}`;
}
