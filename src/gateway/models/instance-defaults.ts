/** How many instances a model gets whose configuration gives no number, and with how many threads each. */

import { mebibytes } from '../ops/capacity.ts';
import { defaultInstances } from '../ops/machine-capacity.ts';
import type { ModelConfig } from '../repository/config/model-config.ts';
import { type ModelWeights, readModelWeights } from '../repository/model-weights.ts';

interface InstanceDefaults {
  readonly count: number;
  /** Threads of each instance, unless the configuration gives a number. */
  readonly threads: number;
  /** Why there are fewer instances than cores would allow; absent where there are not. */
  readonly reason?: string;
}

/** Weights that all default instances together may copy: an instance of a small model costs little, one of a large model does not. */
const MAX_COPIED_BYTES = 2 ** 30;

/** @param cores that the machine lends the server */
export async function instanceDefaults(
  config: ModelConfig,
  modelPath: string,
  cores: number,
): Promise<InstanceDefaults> {
  const most = defaultInstances(cores);
  if (most === 1 || !takesDefaultCount(config)) return { count: most, threads: 1 };
  return boundBySize(most, await readModelWeights(modelPath), sharesExternalWeights(config));
}

/** Each instance keeps a copy of the weights in the layout of its kernels: fewer instances with more threads each cost less memory. */
export function boundBySize(most: number, { inline, external }: ModelWeights, isShared: boolean): InstanceDefaults {
  const copied = inline + (isShared ? 0 : external);
  const count = Math.max(1, Math.min(most, Math.floor(MAX_COPIED_BYTES / Math.max(1, copied))));
  if (count === most) return { count, threads: 1 };
  const threads = Math.floor(most / count);
  const instances = `${count} instance${count === 1 ? '' : 's'} of ${threads} thread${threads === 1 ? '' : 's'}`;
  const sharing =
    external > inline
      ? 'parameters session.disable_prepacking: "1" lets instances share the weights'
      : 'external weights can be shared';
  const reason = `${instances} instead of ${most}, because each keeps its own copy of ${mebibytes(copied)} of weights; instance_group sets another number, and ${sharing} (docs/models.md#large-models)`;
  return { count, threads, reason };
}

/** Without a group, and for groups on the CPU without a count. A GPU gets one instance. */
function takesDefaultCount({ instance_group: groups }: ModelConfig): boolean {
  const isDefault = groups.some(
    ({ count, kind, gpus }) => count === undefined && kind !== 'KIND_GPU' && (kind === 'KIND_CPU' || gpus.length === 0),
  );
  return groups.length === 0 || isDefault;
}

/** Without copies in the layout of kernels, sessions of a process read external weights where the file is mapped. */
function sharesExternalWeights({ parameters }: ModelConfig): boolean {
  return parameters['session.disable_prepacking'] === '1';
}
