import { z } from 'zod';
import type { AnyTensor, Inputs, ModelMetadata, RequestOptions, Shape } from '../client/inference-client.ts';
import { decodeTensor } from '../client/tensor.ts';
import { messageOf } from '../error-message.ts';
import { parseExactJson } from '../wire/exact-json.ts';
import { JsonTensorError, jsonToRaw } from '../wire/json-tensor.ts';
import { DATATYPE_BYTES, type Datatype, elementCount } from '../wire/tensor.ts';
import { CliError } from './cli-error.ts';
import { completeShape, findInput } from './model-signature.ts';

const parameters = z.record(z.string(), z.union([z.boolean(), z.number(), z.bigint(), z.string()]));

/** The body of an inference request in the REST form of the Open Inference Protocol; `data` is flat or nested. */
const restRequest = z.strictObject({
  id: z.string().optional(),
  parameters: parameters.optional(),
  inputs: z.array(
    z.strictObject({
      name: z.string(),
      datatype: z.enum(Object.keys(DATATYPE_BYTES) as [Datatype, ...Datatype[]]),
      shape: z.array(z.int().nonnegative()),
      data: z.array(z.unknown()),
    }),
  ),
  outputs: z.array(z.strictObject({ name: z.string(), parameters: parameters.optional() })).optional(),
});

/** The inputs of a model by name, and nothing else. */
const bareInputs = z.record(z.string(), z.array(z.unknown()));

export interface JsonRequest {
  readonly inputs: Inputs;
  readonly options: RequestOptions;
}

/**
 * Reads a request from JSON: the body of a REST request, or a bare mapping such as `{"x": [[1, 2]]}`, for which
 * `loadMetadata` is asked for datatypes. `source` says where the text is from.
 * @throws CliError
 */
export async function parseJsonRequest(
  text: string,
  source: string,
  loadMetadata: () => Promise<ModelMetadata>,
): Promise<JsonRequest> {
  const json = parse(text, source);
  if (isRestRequest(json)) {
    const { id, parameters, inputs, outputs } = check(restRequest, json, source);
    const tensors = inputs.map(({ name, datatype, shape, data }) => [name, toTensor(name, { datatype, shape, data })]);
    const requested = outputs?.map(({ name, parameters }) => [name, { parameters }]);
    return {
      inputs: Object.fromEntries(tensors) as Inputs,
      options: { id, parameters, outputs: requested && Object.fromEntries(requested) },
    };
  }
  const inputs = check(bareInputs, json, source);
  const metadata = await loadMetadata();
  const tensors = Object.entries(inputs).map(([name, data]) => {
    const spec = findInput(metadata, name);
    const nested = shapeOf(data);
    const remedy = `nest its values as rows, such as {"${name}":[[1,2]]}`;
    const shape = nested.length === 1 ? completeShape(spec, nested[0] ?? 0, remedy) : nested;
    return [name, toTensor(name, { datatype: spec.datatype, shape, data })];
  });
  return { inputs: Object.fromEntries(tensors) as Inputs, options: {} };
}

function parse(text: string, source: string): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    throw new CliError(`${source} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

/** An input that is called `inputs` has numbers or texts in its array, not objects. */
function isRestRequest(json: unknown): boolean {
  const inputs = typeof json === 'object' && json !== null && 'inputs' in json ? json.inputs : undefined;
  return Array.isArray(inputs) && inputs.every((input) => typeof input === 'object' && !Array.isArray(input));
}

function check<Schema extends z.ZodType>(schema: Schema, json: unknown, source: string): z.output<Schema> {
  const { success, data, error } = schema.safeParse(json);
  if (!success) throw new CliError(`${source} is not a request: ${z.prettifyError(error).replaceAll('\n', ' ')}`);
  return data;
}

/** The sizes of nested arrays, taken along their first elements. */
function shapeOf(data: unknown): Shape {
  return Array.isArray(data) ? [data.length, ...shapeOf(data[0])] : [];
}

function toTensor(
  name: string,
  { datatype, shape, data }: { datatype: Datatype; shape: Shape; data: readonly unknown[] },
): AnyTensor {
  const values = data.flat(Infinity as 1);
  try {
    if (elementCount(shape) !== values.length) {
      throw new RangeError(`shape [${shape.join(',')}] does not hold ${values.length} elements`);
    }
    return decodeTensor(datatype, shape, jsonToRaw(datatype, values));
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof JsonTensorError)) throw error;
    throw new CliError(`input '${name}': ${error.message}`, { cause: error });
  }
}
