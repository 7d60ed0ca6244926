import type { ModelConfig } from './model-config.ts';

/** How a sample of `model_warmup` is called in messages. */
export function nameOfWarmUp({ name }: Pick<ModelConfig['model_warmup'][number], 'name'>, index: number): string {
  return name === '' ? `model_warmup ${index}` : `model_warmup '${name}'`;
}
