/** Code models: their platform, their files, and the tensors that a configuration declares. */

import type { Shape } from '../../../wire/tensor.ts';
import type { JavascriptOptions } from '../../../worker/step-spec.ts';
import { type DataType, datatypeOf } from './data-types.ts';

export const JAVASCRIPT = 'tensorgate_javascript';

/** The module of a code model in the folder of its version, by its language. */
export const CODE_FILES = ['model.mjs', 'model.ts'] as const;

/** Where no setting limits messages. */
const DEFAULT_MAX_CALL_BYTES = 64 * 1024 * 1024;

interface DeclaredTensor {
  readonly name: string;
  readonly data_type?: DataType | undefined;
  readonly dims?: Shape | undefined;
  readonly reshape?: { readonly shape: Shape } | undefined;
}

/** The parts of a configuration that say how code is called. */
export interface CodeConfig {
  readonly input: readonly DeclaredTensor[];
  readonly output: readonly DeclaredTensor[];
  readonly max_batch_size?: number | undefined;
  readonly parameters: Readonly<Record<string, string>>;
  readonly model_transaction_policy?: { readonly decoupled?: boolean | undefined } | undefined;
}

/** Whether a request may get any number of answers. */
export function isDecoupled({
  model_transaction_policy: policy,
}: Pick<CodeConfig, 'model_transaction_policy'>): boolean {
  return policy?.decoupled === true;
}

/** @returns tensors without a datatype as FP32: `checkSteps` refuses them */
export function javascriptOf(config: CodeConfig, maxHeapMb: number): JavascriptOptions {
  const { max_batch_size: maxRows = 0, parameters } = config;
  const isBatched = maxRows > 0;
  const declared = ({ name, data_type, dims = [], reshape }: DeclaredTensor): JavascriptOptions['inputs'][number] => {
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
    isDecoupled: isDecoupled(config),
    parameters,
    maxHeapMb,
    maxCallBytes: DEFAULT_MAX_CALL_BYTES,
  };
}
