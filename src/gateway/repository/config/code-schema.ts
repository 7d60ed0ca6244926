/** Code models: the section `tensorgate.javascript`, and what a configuration declares of their tensors. */

import { z } from 'zod';
import type { SessionTensor } from '../../../worker/protocol.ts';
import type { JavascriptOptions } from '../../../worker/step-spec.ts';
import { positive } from './config-values.ts';
import { datatypeOf } from './data-types.ts';
import type { ModelConfig } from './model-config.ts';

export const JAVASCRIPT = 'tensorgate_javascript';

/** The module of a code model in the folder of its version, by its language. */
export const CODE_FILES = ['model.mjs', 'model.ts'] as const;

export const javascriptSection = z.strictObject({
  max_heap_mb: positive
    .default(512)
    .describe(
      'Maximum heap of an instance in MiB. Typed arrays lie outside of the heap. An instance that needs more ends.',
    ),
});

type Declared = Pick<ModelConfig, 'input' | 'output' | 'max_batch_size' | 'parameters' | 'model_transaction_policy'> & {
  readonly tensorgate: Pick<ModelConfig['tensorgate'], 'javascript'>;
};

/** @returns tensors without a datatype as FP32: `checkSteps` refuses them */
export function javascriptOf(config: Declared): JavascriptOptions {
  const { max_batch_size: maxRows = 0, parameters, tensorgate, model_transaction_policy: policy } = config;
  const isBatched = maxRows > 0;
  const declared = ({ name, data_type, dims = [], reshape }: ModelConfig['input'][number]): SessionTensor => {
    const row = reshape?.shape ?? dims;
    const axes = row.map((size) => (size === -1 ? '' : size));
    return {
      name,
      datatype: datatypeOf(data_type ?? 'TYPE_FP32'),
      shape: isBatched ? [-1, ...row] : row,
      axes: isBatched ? ['batch', ...axes] : axes,
    };
  };
  return {
    kind: 'javascript',
    inputs: config.input.map(declared),
    outputs: config.output.map(declared),
    isBatched,
    isDecoupled: policy?.decoupled === true,
    parameters,
    maxHeapMb: (tensorgate.javascript ?? javascriptSection.parse({})).max_heap_mb,
  };
}
