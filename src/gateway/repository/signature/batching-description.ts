/** How a model's requests are batched, in a line: for the log, ModelConfig and `tensorgate models`. */

import type { ModelConfig } from '../config/model-config.ts';
import type { Padding } from './length-axis.ts';
import type { ModelSignature } from './model-signature.ts';

/** `on (axis 0, max 64 rows, delay 0 us)`, or `off: why`; then whether lengths are padded, where the model has a length. */
export function describeBatching(signature: ModelSignature, config: ModelConfig): string {
  const { batching } = signature;
  if (batching.kind === 'off') return `off: ${batching.reason}`;
  const { max_queue_delay_microseconds: delay, preferred_batch_size: preferred } = config.dynamic_batching;
  const sizes = preferred.length === 0 ? '' : `, preferred ${preferred.join(', ')}`;
  const axes = describeAxes(signature);
  return `on (${axes}, max ${batching.maxRows} rows, delay ${delay} us${sizes})${describePadding(batching.padding)}`;
}

/** Names tensors only where they differ: `axis 0, axis 1 of 'state', one 'rate' for all rows`. */
function describeAxes({ inputs, outputs }: Pick<ModelSignature, 'inputs' | 'outputs'>): string {
  const axes = new Map<number, string[]>();
  const shared: string[] = [];
  for (const { name, rowAxis = 0 } of [...inputs, ...outputs]) {
    const quoted = `'${name}'`;
    if (rowAxis === 'shared') shared.push(quoted);
    else axes.set(rowAxis, [...(axes.get(rowAxis) ?? []), quoted]);
  }
  const ordered = [...axes].sort(([a], [b]) => a - b);
  const stacked = ordered.map(([axis, names], index) => `axis ${axis}${index === 0 ? '' : ` of ${names.join(', ')}`}`);
  return [...stacked, ...shared.map((name) => `one ${name} for all rows`)].join(', ');
}

function describePadding(padding: Padding | undefined): string {
  if (padding === undefined) return '';
  return padding.kind === 'on' ? ', padding on' : `, padding off: ${padding.reason}`;
}
