/** Commands that send a model a made-up request, ready to be pasted into a shell. */

import type { SampleInput } from '../gateway/main.ts';
import { shellWord } from '../shell-word.ts';
import type { Datatype, Shape } from '../wire/tensor.ts';

export interface SampleRequest {
  readonly model: string;
  readonly inputs: readonly SampleInput[];
}

/** Longer data is not printed: the shell repeats its element. */
const MAX_SHOWN = 64;

/** Fields of `InferTensorContents`; datatypes without one exist only as raw contents. */
const CONTENTS: Readonly<Partial<Record<Datatype, string>>> = {
  BOOL: 'bool_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  BYTES: 'bytes_contents',
};

/** The number of elements, for the choice of a model with a short request. */
export function sampleSize({ inputs }: SampleRequest): number {
  return inputs.reduce((sum, { shape }) => sum + countOf(shape), 0);
}

/** `npx tensorgate infer` with the request on stdin. */
export function inferCommand(request: SampleRequest, url: string): string {
  const inputs = request.inputs.map(({ name, datatype, shape, value }) => {
    return [{ name, shape, datatype }, 'data', jsonElement(datatype, value), countOf(shape)] as const;
  });
  const command = `npx tensorgate infer ${shellWord(request.model)} --url ${url} --json -`;
  return `${printing({}, inputs)} | ${command}`;
}

/** `grpcurl` with the request on stdin; `undefined` where JSON cannot hold it. */
export function grpcurlCommand({ model, inputs }: SampleRequest, address: string): string | undefined {
  const typed = inputs.flatMap(({ name, datatype, shape, value }) => {
    const field = CONTENTS[datatype];
    // bytes are base64 in the JSON of protobuf: `YQ==` is `a`.
    const element = datatype === 'BYTES' ? '"YQ=="' : jsonElement(datatype, value);
    return field === undefined ? [] : [[{ name, shape, datatype }, field, element, countOf(shape)] as const];
  });
  if (typed.length < inputs.length) return undefined;
  const request = printing({ model_name: model }, typed, 'contents');
  return `${request} | grpcurl -plaintext -d @ ${address} inference.GRPCInferenceService/ModelInfer`;
}

type Part = readonly [head: object, field: string, element: string, count: number];

/** So many times the same element. */
interface Repeated {
  readonly element: string;
  readonly count: number;
}

/** A command that prints a request; `wrapper` is the object that holds the data of an input. */
function printing(head: object, parts: readonly Part[], wrapper?: string): string {
  const fields = JSON.stringify(head).slice(1, -1);
  const [open, close] = wrapper === undefined ? ['', ''] : [`"${wrapper}":{`, '}'];
  const inputs = parts.flatMap(([own, field, element, count], index): (string | Repeated)[] => [
    `${index === 0 ? '' : ','}${JSON.stringify(own).slice(0, -1)},${open}"${field}":[`,
    count > MAX_SHOWN ? { element, count } : Array.from({ length: count }, () => element).join(),
    `]${close}}`,
  ]);
  const pieces = joined([`{${fields === '' ? '' : `${fields},`}"inputs":[`, ...inputs, ']}']);
  const commands = pieces.map((piece) =>
    typeof piece === 'string'
      ? `printf %s ${shellWord(piece)}`
      : `yes ${shellWord(piece.element)} | head -n ${piece.count} | paste -sd, -`,
  );
  const [only] = pieces;
  if (pieces.length > 1 || typeof only !== 'string') return `{ ${commands.join('; ')}; }`;
  // Some shells' echo takes a backslash for its own.
  return only.includes('\\') ? `printf %s ${shellWord(only)}` : `echo ${shellWord(only)}`;
}

/** The pieces with neighbouring texts in one. */
function joined(pieces: readonly (string | Repeated)[]): (string | Repeated)[] {
  const all: (string | Repeated)[] = [];
  for (const piece of pieces) {
    const last = all.at(-1);
    if (typeof piece === 'string' && typeof last === 'string') all[all.length - 1] = last + piece;
    else all.push(piece);
  }
  return all;
}

function countOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

function jsonElement(datatype: Datatype, value: number): string {
  if (datatype === 'BYTES') return '"a"';
  return datatype === 'BOOL' ? String(value !== 0) : String(value);
}
