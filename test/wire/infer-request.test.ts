import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { NO_PARAMETERS } from '../../src/wire/infer-parameter.ts';
import {
  decodeInferRequest,
  encodeInferRequest,
  type InferRequest,
  peekInferHead,
} from '../../src/wire/infer-request.ts';
import { DEFAULT_WIRE_LIMITS, WireError, type WireLimits } from '../../src/wire/limits.ts';
import { inferRequest } from './arbitrary-messages.ts';
import { hex, nest, tag } from './hex.ts';
import {
  decodeReference,
  encodeReference,
  fromLong,
  fromReferenceParameters,
  type Plain,
  toLong,
  toReferenceParameters,
} from './reference-messages.ts';
import { decodeWhole } from './whole-request.ts';

const limits = { ...DEFAULT_WIRE_LIMITS, maxParameterBytes: 100_000 };

describe('against protobufjs', () => {
  test('a request that it encodes decodes to the same values', () => {
    fc.assert(
      fc.property(inferRequest, (request) => {
        expect(decodeInferRequest(encodeReference('ModelInferRequest', toReference(request)), limits)).toEqual(request);
      }),
    );
  });

  test('a request that we encode has the same bytes, and decodes to the same values', () => {
    fc.assert(
      fc.property(inferRequest, (request) => {
        const encoded = Buffer.concat(encodeInferRequest(request));
        expect(encoded.equals(encodeReference('ModelInferRequest', toReference(request)))).toBe(true);
        expect(fromReference(decodeReference('ModelInferRequest', encoded))).toEqual(withoutContents(request));
      }),
    );
  });
});

describe('the head of a request', () => {
  test('is what the whole request says besides its tensors', () => {
    fc.assert(
      fc.property(inferRequest, (request) => {
        const { modelName, modelVersion, id, parameters } = request;
        const encoded = encodeReference('ModelInferRequest', toReference(request));
        expect(peekInferHead(encoded, limits)).toEqual({ modelName, modelVersion, id, parameters });
      }),
    );
  });

  test('is found behind the tensors as well, and the last of equal fields counts', () => {
    const [early, late] = ['early', 'late'].map((modelName) => encodeReference('ModelInferRequest', { modelName }));
    const tensors = encodeReference('ModelInferRequest', { rawInputContents: [new Uint8Array(300)] });
    const message = Buffer.concat([early ?? tensors, tensors, late ?? tensors]);
    expect(peekInferHead(message, limits)?.modelName).toBe('late');
    expect(decodeInferRequest(message, limits).modelName).toBe('late');
  });

  test('is missing for bytes that are no message', () => {
    expect(peekInferHead(hex('0a05 6d'), limits)).toBeUndefined();
    expect(peekInferHead(Buffer.from('no message'), limits)).toBeUndefined();
    expect(
      peekInferHead(encodeReference('ModelInferRequest', { modelName: 'x'.repeat(2_000) }), limits),
    ).toBeUndefined();
  });
});

describe('views', () => {
  const raw = new Uint8Array([1, 2, 3, 4]);
  const request: InferRequest = {
    modelName: 'm',
    modelVersion: '',
    id: '',
    parameters: NO_PARAMETERS,
    inputs: [],
    outputs: [],
    rawInputContents: [raw, new Uint8Array(0), raw],
  };

  test('raw contents are not copied when a request is encoded', () => {
    const chunks = encodeInferRequest(request);
    expect(chunks.filter((chunk) => chunk === raw)).toHaveLength(2);
    expect(chunks).toHaveLength(4);
  });

  test('raw contents share the memory of the message that they came in', () => {
    const message = new Uint8Array(Buffer.concat(encodeInferRequest(request)));
    const [first, second, third] = decodeInferRequest(message, limits).rawInputContents;
    expect([first, second, third].map((view) => view?.buffer === message.buffer)).toEqual([true, true, true]);
    expect([first, second, third].map((view) => view?.length)).toEqual([4, 0, 4]);
  });

  test('a message that is a part of a larger buffer is read at its own offset', () => {
    const message = Buffer.concat(encodeInferRequest(request));
    const larger = new Uint8Array(message.length + 9).fill(0xff);
    larger.set(message, 5);
    expect(decodeInferRequest(larger.subarray(5, 5 + message.length), limits)).toEqual(request);
  });
});

describe('what protobuf allows', () => {
  test('the last of a singular field counts', () => {
    const message = hex(
      '0a0161',
      '0a0162',
      '120131',
      '120132',
      '1a0178',
      '1a0179',
      '2a06 0a0163 0a0164',
      '3206 0a0165 0a0166',
    );
    const request = decodeInferRequest(message, limits);
    expect([request.modelName, request.modelVersion, request.id]).toEqual(['b', '2', 'y']);
    expect([request.inputs[0]?.name, request.outputs[0]?.name]).toEqual(['d', 'f']);
  });

  test('unknown fields of every wire type are skipped, wherever they are', () => {
    const unknown = '4001 4a0161 5101020304050607085d01020304 635801 64';
    const size = (hex(unknown).length + 3).toString(16);
    const message = hex(unknown, '0a016d', `2a${size} 0a0161`, unknown, `32${size} 0a0162`, unknown);
    const request = decodeInferRequest(message, limits);
    expect([request.modelName, request.inputs[0]?.name, request.outputs[0]?.name]).toEqual(['m', 'a', 'b']);
  });

  test('a shape may come packed, unpacked, or in several parts', () => {
    expect(decodeInferRequest(hex('2a0b 1802 1a020304 1800 1a0105'), limits).inputs[0]?.shape).toEqual([2, 3, 4, 0, 5]);
  });

  test('a size that no number holds exactly becomes the nearest one', () => {
    const sizes = [-1n, -(2n ** 63n), 2n ** 53n + 1n, 2n ** 63n - 1n];
    const message = encodeReference('ModelInferRequest', {
      inputs: [{ shape: sizes.map((size) => toLong(size, false)) }],
    });
    expect(decodeInferRequest(message, limits).inputs[0]?.shape).toEqual(sizes.map(Number));
  });

  test('an empty message is a request without a model', () => {
    expect(decodeInferRequest(new Uint8Array(0), limits)).toEqual({
      modelName: '',
      modelVersion: '',
      id: '',
      parameters: new Map(),
      inputs: [],
      outputs: [],
      rawInputContents: [],
    });
  });

  test('contents that are present but empty are distinguished from absent ones', () => {
    const [present, absent] = decodeInferRequest(hex('2a022a00 2a00'), limits).inputs;
    expect(present?.contents?.byteLength).toBe(0);
    expect(absent?.contents).toBeUndefined();
  });
});

describe('malformed messages', () => {
  const fields: [string, number, number, (value: string) => string][] = [
    ['model_name', 1, 2, (value) => value],
    ['model_version', 2, 2, (value) => value],
    ['id', 3, 2, (value) => value],
    ['parameters', 4, 2, (value) => value],
    ['parameters key', 1, 2, (value) => nest(4, value)],
    ['parameters value', 2, 2, (value) => nest(4, value)],
    ['bool_param', 1, 0, (value) => nest(4, nest(2, value))],
    ['int64_param', 2, 0, (value) => nest(4, nest(2, value))],
    ['string_param', 3, 2, (value) => nest(4, nest(2, value))],
    ['double_param', 4, 1, (value) => nest(4, nest(2, value))],
    ['uint64_param', 5, 0, (value) => nest(4, nest(2, value))],
    ['inputs', 5, 2, (value) => value],
    ['input name', 1, 2, (value) => nest(5, value)],
    ['datatype', 2, 2, (value) => nest(5, value)],
    ['shape', 3, 0, (value) => nest(5, value)],
    ['input parameters', 4, 2, (value) => nest(5, value)],
    ['contents', 5, 2, (value) => nest(5, value)],
    ['bool_contents', 1, 0, (value) => nest(5, nest(5, value))],
    ['int_contents', 2, 0, (value) => nest(5, nest(5, value))],
    ['int64_contents', 3, 0, (value) => nest(5, nest(5, value))],
    ['uint_contents', 4, 0, (value) => nest(5, nest(5, value))],
    ['uint64_contents', 5, 0, (value) => nest(5, nest(5, value))],
    ['fp32_contents', 6, 5, (value) => nest(5, nest(5, value))],
    ['fp64_contents', 7, 1, (value) => nest(5, nest(5, value))],
    ['bytes_contents', 8, 2, (value) => nest(5, nest(5, value))],
    ['outputs', 6, 2, (value) => value],
    ['output name', 1, 2, (value) => nest(6, value)],
    ['output parameters', 2, 2, (value) => nest(6, value)],
    ['raw_input_contents', 7, 2, (value) => value],
  ];
  // A value of each wire type that is complete in itself: only its type can be wrong.
  const values = ['01', '0000000000000000', '00', '', '', '00000000'];
  const packable = new Set(['shape', 'fp32_contents', 'fp64_contents']);

  test.each(fields)('a wrong wire type on %s is refused', (name, number, wireType, wrap) => {
    const isPackable = packable.has(name) || (name.endsWith('_contents') && wireType === 0);
    for (const [type, value] of values.entries()) {
      // An opened group must be closed, and a close without an opening is malformed anyway.
      const end = type === 3 ? tag(number, 4) : '';
      const message = hex(wrap(`${tag(number, type)}${value}${end}`));
      const isRight = type === wireType || (isPackable && type === 2);
      expect(outcome(message), `wire type ${type}`).toBe(isRight ? 'accepted' : 'malformed');
    }
  });

  test.each([
    ['field number 0', '0001'],
    ['field number 0 in an input', '2a020001'],
    ['wire type 6', '0e01'],
    ['wire type 7', '0f01'],
    ['wire type 6 of an unknown field', '7e01'],
    ['a tag wider than 32 bits', '8a8080801001 61'],
    ['a tag cut off', '8a'],
    ['a varint of 11 bytes', '40 8080808080808080808001'],
    ['a varint wider than 64 bits', '40 80808080808080808002'],
    ['a varint cut off', '40 ff'],
    ['a length cut off', '0a ff'],
    ['a text past the end', '0a0261'],
    ['a length of 2^32 + 1', '0a818080801061'],
    ['a length of 2^64 - 1', '0affffffffffffffffff0161'],
    ['an input past the end', '2a05 0a0161'],
    ['a name past the end of its input', '2a03 0a0261 62'],
    ['a shape whose varint leaves it', '2a04 1a0180 01'],
    ['raw contents past the end', '3a05 01020304'],
    ['an unknown fixed64 cut off', '41 01020304050607'],
    ['an unknown fixed32 cut off', '45 010203'],
    ['a group that is not ended', '43 4001'],
    ['a group that is not ended in its input', '2a02 43 0a 44'],
    ['the end of a group that is not open', '44'],
    ['the end of another group', '43 4c'],
    ['groups nested 17 deep', `${'43'.repeat(17)}${'44'.repeat(17)}`],
    ['a million nested groups', '43'.repeat(1_000_000)],
    ['a name that is not UTF-8', '0a02 c328'],
    ['an id that ends inside a character', '1a02 e282'],
    ['an overlong character', '0a02 c0af'],
    ['a surrogate', '0a03 eda080'],
    ['a character above U+10FFFF', '0a04 f4908080'],
    ['an input name that is not UTF-8', '2a03 0a01ff'],
    ['a datatype that is not UTF-8', '2a03 1201ff'],
    ['an output name that is not UTF-8', '3203 0a01ff'],
    ['a parameter key that is not UTF-8', '2203 0a01ff'],
    ['a parameter text that is not UTF-8', '2205 1203 1a01ff'],
    ['contents twice', '2a04 2a00 2a00'],
    ['packed floats of 5 bytes', '2a09 2a07 3205 0000000000'],
    ['packed doubles of 4 bytes', '2a08 2a06 3a04 00000000'],
    ['a packed varint that leaves its field', '2a05 2a03 120180 01'],
    ['a packed varint of 11 bytes', '2a0f 2a0d 1a0b 8080808080808080808001'],
  ])('%s is refused', (_name, message) => {
    expect(outcome(hex(message))).toBe('malformed');
  });

  test('groups nested 16 deep are skipped', () => {
    expect(outcome(hex('43'.repeat(16), '44'.repeat(16)))).toBe('accepted');
  });

  test('a message cut at any byte is refused, but between two of its fields', () => {
    const parameter = nest(4, `0a0170${nest(2, '0801')}`);
    const input = nest(5, '0a0161 120446503332 1a020102');
    const fields = ['0a026d31', '120131', '1a0161', parameter, input, '3a020102'].map((field) => hex(field));
    const message = Buffer.concat(fields);
    const ends = new Set([0]);
    let end = 0;
    for (const field of fields) {
      end += field.length;
      ends.add(end);
    }
    for (let length = 0; length <= message.length; length += 1) {
      const expected = ends.has(length) ? 'accepted' : 'malformed';
      expect(outcome(message.subarray(0, length)), `${length} bytes`).toBe(expected);
    }
  });

  test('the error says what is wrong and at which byte', () => {
    expect(() => decodeInferRequest(hex('0a016d 2a04 0a0561'), limits)).toThrow(
      new WireError('malformed', 'malformed message at byte 4: a length of 4, 3 bytes are left'),
    );
    expect(() => decodeInferRequest(hex('0a016d 1001'), limits)).toThrow(
      new WireError('malformed', 'malformed message at byte 4: model_version has wire type 0, expected 2'),
    );
  });
});

describe('limits', () => {
  const small: WireLimits = {
    maxFields: 60,
    maxInputs: 2,
    maxOutputs: 3,
    maxRank: 4,
    maxParameters: 5,
    maxParameterBytes: 40,
    maxNameBytes: 6,
    maxIdBytes: 7,
  };
  const parameter = '2203 0a0161';

  test.each([
    ['inputs', (n: number) => '2a00'.repeat(n), 2],
    ['outputs', (n: number) => '3200'.repeat(n), 3],
    ['raw_input_contents', (n: number) => '3a00'.repeat(n), 2],
    ['packed sizes of a shape', (n: number) => nest(5, nest(3, '01'.repeat(n))), 4],
    ['unpacked sizes of a shape', (n: number) => nest(5, '1801'.repeat(n)), 4],
    ['parts of a shape', (n: number) => nest(5, '1a0101'.repeat(n)), 4],
    ['parameters', (n: number) => parameter.repeat(n), 5],
    ['parameters of one input', (n: number) => nest(5, parameter.repeat(n)), 5],
    ['parameters of one output', (n: number) => nest(6, '1200'.repeat(n)), 5],
    [
      'parameters of the message, an input and an output',
      (n: number) => parameter.repeat(n - 2) + nest(5, parameter) + nest(6, '1200'),
      5,
    ],
    ['bytes of one parameter', (n: number) => nest(4, nest(1, '61'.repeat(n - 2))), 40],
    [
      'bytes of all parameters',
      (n: number) => nest(4, nest(1, '61'.repeat(18))) + nest(5, nest(4, nest(1, '61'.repeat(n - 22)))),
      40,
    ],
    ['bytes of the model name', (n: number) => nest(1, '61'.repeat(n)), 6],
    ['bytes of the model version', (n: number) => nest(2, '61'.repeat(n)), 6],
    ['bytes of the id', (n: number) => nest(3, '61'.repeat(n)), 7],
    ['bytes of an input name', (n: number) => nest(5, nest(1, '61'.repeat(n))), 6],
    ['bytes of a datatype', (n: number) => nest(5, nest(2, '61'.repeat(n))), 6],
    ['bytes of an output name', (n: number) => nest(6, nest(1, '61'.repeat(n))), 6],
    ['fields of a message', (n: number) => '0a00'.repeat(n), 60],
    ['unknown fields', (n: number) => 'a00601'.repeat(n), 60],
    ['fields within an input', (n: number) => nest(5, '0a00'.repeat(n - 1)), 60],
    ['fields within a group', (n: number) => `43${'0801'.repeat(n - 2)}44`, 60],
  ])('%s', (_name, message, max) => {
    expect(outcome(hex(message(max)), small)).toBe('accepted');
    expect(outcome(hex(message(max + 1)), small)).toBe('limit');
  });

  test('raw contents have the limit of the inputs, not its rest', () => {
    expect(outcome(hex('2a00 2a00 3a00 3a00'), small)).toBe('accepted');
  });

  test('the error names the size and the limit', () => {
    expect(() => decodeInferRequest(hex('0a0761626364656667'), small)).toThrow(
      new WireError('limit', 'model_name at byte 1 has 7 bytes, at most 6 are allowed'),
    );
  });
});

function outcome(message: Uint8Array, within: WireLimits = limits): 'accepted' | 'malformed' | 'limit' {
  try {
    decodeWhole(message, within);
    return 'accepted';
  } catch (error) {
    if (error instanceof WireError) return error.kind;
    throw error;
  }
}

/** Leaves out what proto3 leaves out, because protobufjs does not. */
function toReference(request: InferRequest): Plain {
  return {
    ...(request.modelName === '' ? {} : { modelName: request.modelName }),
    ...(request.modelVersion === '' ? {} : { modelVersion: request.modelVersion }),
    ...(request.id === '' ? {} : { id: request.id }),
    parameters: toReferenceParameters(request.parameters),
    inputs: request.inputs.map((input) => ({
      ...(input.name === '' ? {} : { name: input.name }),
      ...(input.datatype === '' ? {} : { datatype: input.datatype }),
      shape: input.shape.map((size) => toLong(size, false)),
      parameters: toReferenceParameters(input.parameters),
      ...(input.contents === undefined ? {} : { contents: {} }),
    })),
    outputs: request.outputs.map((output) => ({
      ...(output.name === '' ? {} : { name: output.name }),
      parameters: toReferenceParameters(output.parameters),
    })),
    rawInputContents: request.rawInputContents,
  };
}

function fromReference(message: Plain): Omit<InferRequest, 'inputs'> & { inputs: unknown } {
  return {
    modelName: message['modelName'] as string,
    modelVersion: message['modelVersion'] as string,
    id: message['id'] as string,
    parameters: fromReferenceParameters(message['parameters']),
    inputs: (message['inputs'] as Plain[]).map((input) => ({
      name: input['name'],
      datatype: input['datatype'],
      shape: (input['shape'] as unknown[]).map((size) => Number(fromLong(size))),
      parameters: fromReferenceParameters(input['parameters']),
    })),
    outputs: (message['outputs'] as Plain[]).map((output) => ({
      name: output['name'] as string,
      parameters: fromReferenceParameters(output['parameters']),
    })),
    rawInputContents: (message['rawInputContents'] as Uint8Array[]).map((raw) => new Uint8Array(raw)),
  };
}

function withoutContents(request: InferRequest): unknown {
  return { ...request, inputs: request.inputs.map(({ contents: _contents, ...input }) => input) };
}
