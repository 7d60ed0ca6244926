import type { Metadata } from '@grpc/grpc-js';
import type { InferParameters } from '../wire/infer-parameter.ts';
import type { InferResponse } from '../wire/infer-response.ts';
import type { Datatype } from '../wire/tensor.ts';
import type { ParameterValue } from './inference-request.ts';
import { type AnyTensor, decodeTensor, type Tensor } from './tensor.ts';

/** Where the time went inside the server: tensorgate says so when it is asked with `timing: true`. */
export interface Timing {
  /** Rows of the batch that the request rode in, its own among them. */
  readonly batchRows: number;
  /** From admission to the start of that batch, in microseconds. */
  readonly queueUs: number;
  /** The run of the model, in microseconds. */
  readonly computeUs: number;
}

/** The answer to one inference. */
export class InferenceResult {
  readonly modelName: string;
  /** The version that answered. */
  readonly modelVersion: string;
  readonly id: string;
  readonly parameters: ReadonlyMap<string, ParameterValue>;
  /** By name; servers answer in an order of their own. */
  readonly outputs: ReadonlyMap<string, AnyTensor>;
  readonly timing: Timing | undefined;

  constructor(response: InferResponse, timing: Timing | undefined) {
    this.modelName = response.modelName;
    this.modelVersion = response.modelVersion;
    this.id = response.id;
    this.parameters = toValues(response.parameters);
    this.outputs = new Map(
      response.outputs.map(({ name, datatype, shape, data }) => [name, decodeTensor(datatype, shape, data)]),
    );
    this.timing = timing;
  }

  /**
   * The output `name`, whose elements are of `datatype`.
   * @throws TypeError where the answer has no such output
   */
  output<D extends Datatype>(name: string, datatype: D): Tensor<D> {
    const output = this.outputs.get(name);
    if (output === undefined) {
      const names = [...this.outputs.keys()].join(', ');
      throw new TypeError(`model '${this.modelName}' answered without an output '${name}'; it has: ${names}`);
    }
    if (output.datatype !== datatype) {
      throw new TypeError(`output '${name}' of model '${this.modelName}' is ${output.datatype}, not ${datatype}`);
    }
    return output as Tensor<Datatype> as Tensor<D>;
  }
}

function toValues(parameters: InferParameters): Map<string, ParameterValue> {
  const values = new Map<string, ParameterValue>();
  for (const [key, parameter] of parameters) if (parameter.kind !== 'none') values.set(key, parameter.value);
  return values;
}

/** Reads the trailers `tensorgate-batch-rows`, `tensorgate-queue-us` and `tensorgate-compute-us`. */
export function readTiming(trailers: Metadata): Timing | undefined {
  const [batchRows, queueUs, computeUs] = ['batch-rows', 'queue-us', 'compute-us'].map((name) =>
    Number(trailers.get(`tensorgate-${name}`)[0] ?? Number.NaN),
  ) as [number, number, number];
  return Number.isNaN(batchRows + queueUs + computeUs) ? undefined : { batchRows, queueUs, computeUs };
}
