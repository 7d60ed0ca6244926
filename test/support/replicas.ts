/** Replicas that balancers weigh by their load reports. */

import { identityModel } from './onnx-models.ts';
import type { ModelFiles } from './repository.ts';
import { StockClient } from './stock-client.ts';

/** A model: a replica takes so many rows at a time. */
export function batchesOf(rows: number): ModelFiles {
  return { versions: { 1: identityModel('FP32') }, config: { max_batch_size: rows } };
}

/** How many inferences of `echo` a replica has answered. */
export async function inferred(target: string): Promise<number> {
  using client = new StockClient(target);
  const { model_stats } = await client.call('ModelStatistics', { name: 'echo' });
  return Number(model_stats[0].inference_count);
}
