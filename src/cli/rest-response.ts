import type { AnyTensor, InferenceResult } from '../client/inference-client.ts';
import { fromBf16, fromFp16 } from './half-precision.ts';

/** An answer in the REST form of the Open Inference Protocol, with the names that its JSON has. */
export interface RestResponse {
  readonly model_name: string;
  readonly model_version: string;
  readonly id?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly outputs: readonly {
    readonly name: string;
    readonly datatype: string;
    readonly shape: readonly number[];
    readonly data: readonly unknown[];
  }[];
}

export function toRestResponse({ modelName, modelVersion, id, parameters, outputs }: InferenceResult): RestResponse {
  return {
    model_name: modelName,
    model_version: modelVersion,
    ...(id !== '' && { id }),
    ...(parameters.size > 0 && { parameters: Object.fromEntries(parameters) }),
    outputs: [...outputs].map(([name, output]) => ({
      name,
      datatype: output.datatype,
      shape: output.shape,
      data: toPlainValues(output),
    })),
  };
}

/** The elements as JSON has them, flat; BYTES are read as UTF-8, and where they are not have replacement characters. */
export function toPlainValues(output: AnyTensor): (boolean | number | bigint | string)[] {
  switch (output.datatype) {
    case 'BOOL':
      return Array.from(output.data, Boolean);
    case 'BYTES':
      return output.data.map((element) => new TextDecoder().decode(element));
    case 'FP16':
      return Array.from(output.data, fromFp16);
    case 'BF16':
      return Array.from(output.data, fromBf16);
    case 'FP32':
      return Array.from(output.data, toShortest);
    case 'UINT64':
    case 'INT64':
      return Array.from<bigint>(output.data);
    default:
      return Array.from<number>(output.data);
  }
}

/** Of the numbers that round to this FP32, the one with the fewest digits: 0.1, not 0.10000000149011612. */
function toShortest(value: number): number {
  for (let digits = 6; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number.isFinite(value) ? Number(value.toPrecision(9)) : value;
}
