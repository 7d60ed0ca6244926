import type { ModelMetadata, Shape, TensorMetadata } from '../client/inference-client.ts';
import { type Datatype, isDatatype } from '../wire/tensor.ts';
import { CliError } from './cli-error.ts';

/** Inputs or outputs as people read them: `image UINT8[-1,3,32,32]`. */
export function describeTensors(tensors: readonly TensorMetadata[]): string {
  return tensors.map(({ name, datatype, shape }) => `${name} ${datatype}[${shape.join(',')}]`).join(', ');
}

/**
 * The input `name` of a model.
 * @throws CliError where it has no such input, or one whose datatype this client does not know
 */
export function findInput(metadata: ModelMetadata, name: string): TensorMetadata & { readonly datatype: Datatype } {
  const input = metadata.inputs.find((candidate) => candidate.name === name);
  if (input === undefined) {
    throw new CliError(`model '${metadata.name}' has no input '${name}'; it takes ${describeTensors(metadata.inputs)}`);
  }
  const { datatype } = input;
  if (!isDatatype(datatype))
    throw new CliError(`input '${name}' has the datatype '${datatype}', which is not known here`);
  return { ...input, datatype };
}

/**
 * The shape that `elements` elements have as the input `spec`, whose one open axis takes what its fixed axes leave.
 * @param remedy how a user of the command gives a shape, for the error.
 * @throws CliError where more than one axis is open, or the elements do not fill the shape
 */
export function completeShape(spec: TensorMetadata, elements: number, remedy: string): Shape {
  const wanted = describeTensors([spec]);
  const open = spec.shape.filter((size) => size < 0).length;
  if (open > 1) {
    throw new CliError(`input ${wanted} leaves ${open} axes open: ${remedy}`);
  }
  const fixed = spec.shape.reduce((product, size) => (size < 0 ? product : product * size), 1);
  const rest = fixed === 0 ? 0 : elements / fixed;
  if (!Number.isInteger(rest) || (open === 0 && elements !== fixed)) {
    throw new CliError(`${elements} elements do not fill input ${wanted}`);
  }
  return spec.shape.map((size) => (size < 0 ? rest : size));
}
