/** Which outputs the caller wants, and in what form. Checked before the model runs. */

import type { RequestedOutput } from '../../wire/infer-request.ts';
import { InferError } from '../errors.ts';
import type { ModelSignature, OutputSpec } from '../repository/signature/model-signature.ts';
import { refuseSharedMemory } from './request-parameters.ts';

export interface WantedOutput {
  readonly spec: OutputSpec;
  /** How many of the largest elements of each row to name instead of the tensor (Triton's classification extension); 0: the tensor. */
  readonly classes: number;
}

/**
 * The outputs to answer, in the model's order; each once; all of them where the caller names none.
 * @throws InferError `invalid_request`, or `unimplemented` for shared memory.
 */
export function wantedOutputs(
  requested: readonly RequestedOutput[],
  { outputs }: ModelSignature,
  model: string,
): readonly WantedOutput[] {
  if (requested.length === 0) return outputs.map((spec) => ({ spec, classes: 0 }));
  const classes = new Map<string, number>();
  const specs = new Map(outputs.map((output) => [output.name, output]));
  for (const { name, parameters } of requested) {
    const spec = specs.get(name);
    if (spec === undefined) {
      const known = outputs.map((output) => `'${output.name}'`).join(',');
      throw new InferError(
        'invalid_request',
        `unexpected inference output '${name}' for model '${model}', which gives [${known}]`,
        { field: `outputs['${name}']` },
      );
    }
    refuseSharedMemory(name, parameters);
    classes.set(name, classesOf({ name, parameters }, spec));
  }
  return outputs.flatMap((spec) => {
    const wanted = classes.get(spec.name);
    return wanted === undefined ? [] : [{ spec, classes: wanted }];
  });
}

/** The datatypes whose elements have an order that the extension can print. */
const UNORDERED = new Set(['BOOL', 'BYTES', 'FP16', 'BF16']);

function classesOf({ name, parameters }: RequestedOutput, spec: OutputSpec): number {
  const field = `outputs['${name}'].parameters['classification']`;
  const parameter = parameters.get('classification');
  if (parameter === undefined) return 0;
  if (parameter.kind !== 'int64') {
    const text = "invalid value type for 'classification' parameter, expected int64_param";
    throw new InferError('invalid_request', text, { field });
  }
  if (parameter.value <= 0n)
    throw new InferError('invalid_request', "invalid value for 'classification' parameter, expected >= 1", { field });
  if (UNORDERED.has(spec.datatype)) {
    const text = `class result not available for output '${spec.name}' due to unsupported type '${spec.datatype}'`;
    throw new InferError('invalid_request', text, { field });
  }
  return parameter.value > 1_000_000n ? 1_000_000 : Number(parameter.value);
}
