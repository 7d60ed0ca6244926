import { describe, expect, test } from 'vitest';
import type { WantedOutput } from '../../../src/gateway/admit/requested-outputs.ts';
import type { OutputTensor } from '../../../src/gateway/batch/queued-request.ts';
import { type AnswerForm, encode } from '../../../src/gateway/encode/answer.ts';
import { decodeBytesTensor } from '../../../src/wire/bytes-tensor.ts';
import { NO_PARAMETERS } from '../../../src/wire/infer-parameter.ts';
import type { InferRequest } from '../../../src/wire/infer-request.ts';
import { decodeInferResponse, type InferResponse } from '../../../src/wire/infer-response.ts';
import { DEFAULT_WIRE_LIMITS } from '../../../src/wire/limits.ts';
import { ProtobufReader } from '../../../src/wire/protobuf-reader.ts';
import type { Datatype } from '../../../src/wire/tensor.ts';
import { inferInput, inferRequest, parameters, typedContents } from '../../support/infer-requests.ts';

const OPTIONS: AnswerForm = {
  model: { name: 'm', version: '3' },
  axis: 'rows',
  typedAnswers: 'as-requested',
  parameters: NO_PARAMETERS,
};
const RAW = inferRequest({
  id: 'r1',
  inputs: [inferInput('x', 'FP32', [1])],
  rawInputContents: [new Uint8Array(4)],
});
const TYPED = inferRequest({
  id: 'r2',
  inputs: [inferInput('x', 'FP32', [1], { contents: typedContents('FP32', new Uint8Array(4), 1) })],
});

function output(name: string, datatype: Datatype, data: Uint8Array): OutputTensor {
  return { name, datatype, shape: [1, 2], data };
}

function wanted(tensor: OutputTensor, classes = 0, labels: readonly string[] = []): WantedOutput {
  return { spec: { ...tensor, shape: [-1, 2], labelFilename: undefined, labels }, classes };
}

const FLOATS = output('floats', 'FP32', new Uint8Array(new Float32Array([0.5, -2]).buffer));
const HALVES = output('halves', 'FP16', Uint8Array.of(0, 0x3c, 0, 0x40));

/** The answer, and whether its tensors came in `raw_output_contents`. */
function answer(
  request: InferRequest,
  outputs: readonly OutputTensor[],
  options: Partial<AnswerForm> = {},
  wantedOutputs: readonly WantedOutput[] = outputs.map((one) => wanted(one)),
): { readonly response: InferResponse; readonly form: 'raw' | 'typed' } {
  const message = Buffer.concat(encode(request, wantedOutputs, outputs, { ...OPTIONS, ...options }).chunks);
  return {
    response: decodeInferResponse(message, DEFAULT_WIRE_LIMITS),
    form: fieldsOf(message).includes(RAW_OUTPUT_CONTENTS) ? 'raw' : 'typed',
  };
}

const RAW_OUTPUT_CONTENTS = 6;

function fieldsOf(message: Uint8Array): number[] {
  const reader = new ProtobufReader(message);
  const fields: number[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    fields.push(field);
    reader.skip();
  }
  return fields;
}

/** The classes of an answer's first output. */
function classesOf({ outputs: [first] }: InferResponse, count: number): string[] {
  return decodeBytesTensor(first?.data ?? new Uint8Array(0), count).map((element) => Buffer.from(element).toString());
}

test('an answer names the concrete version, and echoes the id', () => {
  expect(answer(RAW, [FLOATS]).response).toMatchObject({ modelName: 'm', modelVersion: '3', id: 'r1' });
});

test('its parameters are those it is given', () => {
  const given = parameters({ triton_final_response: { kind: 'bool', value: true } });
  expect(answer(RAW, [FLOATS], { parameters: given }).response.parameters).toEqual(given);
  expect(answer(RAW, [FLOATS]).response.parameters.size).toBe(0);
});

test('only the outputs that are wanted are answered, in that order', () => {
  const other = output('other', 'FP32', new Uint8Array(8));
  const { response } = answer(RAW, [FLOATS, other], {}, [wanted(other)]);
  expect(response.outputs.map(({ name }) => name)).toEqual(['other']);
});

describe('form', () => {
  test('a raw request is answered raw, without a copy of the tensor', () => {
    const { chunks } = encode(RAW, [wanted(FLOATS)], [FLOATS], OPTIONS);
    expect(chunks).toContain(FLOATS.data);
    expect(answer(RAW, [FLOATS]).form).toBe('raw');
  });

  test('a typed request is answered typed', () => {
    const { response, form } = answer(TYPED, [FLOATS]);
    expect(form).toBe('typed');
    expect(Buffer.from(response.outputs[0]?.data ?? [])).toEqual(Buffer.from(FLOATS.data));
  });

  test('a typed request is answered raw where typed answers are off', () => {
    expect(answer(TYPED, [FLOATS], { typedAnswers: 'never' }).form).toBe('raw');
  });

  test('a typed request is answered raw as a whole where an output has no typed form', () => {
    const { response, form } = answer(TYPED, [FLOATS, HALVES]);
    expect(form).toBe('raw');
    expect(response.outputs.map(({ data }) => Buffer.from(data))).toEqual(
      [FLOATS, HALVES].map(({ data }) => Buffer.from(data)),
    );
  });

  test('a request without any contents is answered raw', () => {
    const empty = inferRequest({ inputs: [inferInput('x', 'FP32', [0])] });
    expect(answer(empty, [FLOATS]).form).toBe('raw');
  });
});

describe('classification', () => {
  test('replaces the tensor by the names of its largest elements', () => {
    const { response } = answer(RAW, [FLOATS], {}, [wanted(FLOATS, 1, ['cat', 'dog'])]);
    expect(response.outputs).toMatchObject([{ name: 'floats', datatype: 'BYTES', shape: [1, 1] }]);
    expect(classesOf(response, 1)).toEqual(['0.500000:0:cat']);
  });

  test('can be typed, too', () => {
    const { response, form } = answer(TYPED, [FLOATS], {}, [wanted(FLOATS, 1)]);
    expect(form).toBe('typed');
    expect(classesOf(response, 1)).toEqual(['0.500000:0']);
  });

  test('has no batch axis where the model does not batch', () => {
    const { response } = answer(RAW, [FLOATS], { axis: 'whole' }, [wanted(FLOATS, 2)]);
    expect(response.outputs[0]?.shape).toEqual([2]);
  });
});
