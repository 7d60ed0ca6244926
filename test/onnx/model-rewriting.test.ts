import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { outlineOf } from '../../src/onnx/model-outline.ts';
import { isRange, type RewrittenModel, rewriteModel } from '../../src/onnx/model-rewriting.ts';
import { type ModelProto, ModelProtoSchema } from '../../src/onnx/onnx_pb.ts';
import { ifSound, type MessageBytes } from '../../src/onnx/protobuf-field.ts';
import { planRewriting } from '../../src/onnx/rewriting-plan.ts';
import {
  ElementType,
  exportedModel,
  float8Model,
  mapTo,
  optionalInputsModel,
  optionalModel,
  optionalOf,
  sequenceModel,
  sequenceOf,
  tensorType,
  value,
  zipMapModel,
} from '../support/exported-models.ts';
import { identityModel, mlpModel } from '../support/onnx-models.ts';

function inMemory(bytes: Uint8Array): MessageBytes {
  return { size: bytes.byteLength, bytes: (from, length) => bytes.subarray(from, from + length) };
}

/** `undefined` where the model is opened as it is. */
function rewritten(bytes: Uint8Array, outputs?: readonly string[]): RewrittenModel | undefined {
  const message = inMemory(bytes);
  const outline = outlineOf(message);
  return ifSound(() => {
    const plan = outline && planRewriting(message, outline, { outputs });
    return outline && plan && rewriteModel(message, outline, plan);
  });
}

function problemOf(bytes: Uint8Array, wanted?: readonly string[]): string {
  try {
    rewritten(bytes, wanted);
  } catch (error) {
    return String(error);
  }
  return '';
}

function assembled(bytes: Uint8Array, { pieces, byteLength }: RewrittenModel): ModelProto {
  const whole = Buffer.concat(pieces.map((piece) => (isRange(piece) ? bytes.subarray(piece.at, piece.end) : piece)));
  expect(whole.byteLength).toBe(byteLength);
  return fromBinary(ModelProtoSchema, whole);
}

const operators = ({ graph }: ModelProto): string[] => (graph?.node ?? []).map(({ opType }) => opType);

test.each([
  ['a model of plain tensors', mlpModel()],
  ['bytes that are no model', Buffer.from('no model at all')],
  ['no bytes', new Uint8Array(0)],
  ['a model that is cut off', zipMapModel().subarray(0, 100)],
])('%s is not rewritten', (_, bytes) => {
  expect(rewritten(bytes)).toBeUndefined();
});

test('any cut of a model is refused or left to ONNX Runtime, never an accident', () => {
  const whole = optionalInputsModel();
  for (let length = 0; length < whole.byteLength; length++) {
    expect(problemOf(whole.subarray(0, length))).not.toMatch(/TypeError|RangeError|DamagedMessage/);
  }
});

test('a model with any damage is refused by a sentence or left to ONNX Runtime', () => {
  const models = [zipMapModel(), optionalInputsModel(), identityModel('BF16')];
  fc.assert(
    fc.property(fc.constantFrom(...models), fc.nat(), fc.integer({ min: 1, max: 255 }), (model, at, flip) => {
      const bytes = Uint8Array.from(model);
      const place = at % bytes.byteLength;
      bytes[place] = (bytes[place] ?? 0) ^ flip;
      expect(problemOf(bytes)).not.toMatch(/TypeError|RangeError|SyntaxError|DamagedMessage/);
    }),
    { numRuns: 2_000 },
  );
});

describe('a ZipMap', () => {
  test('is cut where it makes an output, which keeps its name', () => {
    const bytes = zipMapModel({ classes: ['cat', 'dog', 'eel'] });
    const model = rewritten(bytes);
    if (model === undefined) throw new Error('it is not rewritten');
    const proto = assembled(bytes, model);
    expect(operators(proto)).toEqual(['Identity', 'ArgMax', 'Identity']);
    expect(proto.graph?.output.map(({ name, type }) => [name, type?.value.case])).toEqual([
      ['output_label', 'tensorType'],
      ['output_probability', 'tensorType'],
    ]);
    expect(model.notes).toEqual([
      "output 'output_probability' is served as a tensor, FP32 [-1,3], without the ZipMap that made maps of it; its columns are the classes cat, dog, eel",
    ]);
  });

  test('whose maps another node reads stays, and the refusal names the option of skl2onnx', () => {
    expect(problemOf(zipMapModel({ isRead: true }))).toMatch(
      /output 'output_probability' is a sequence of maps, and only tensors can be served: .*options=\{'zipmap': False\}.*list the other outputs \('output_label'\)/,
    );
  });
});

describe('BF16', () => {
  test('becomes FLOAT at the border of the graph, under names that nothing has', () => {
    const bytes = exportedModel({
      inputs: [value('x', ElementType.BFLOAT16, ['n', 2]), value('x.float32', ElementType.FLOAT, ['n', 2])],
      outputs: [value('y', ElementType.BFLOAT16, ['n', 2]), value('z', ElementType.FLOAT, ['n', 2])],
      nodes: [
        { opType: 'Identity', input: ['x'], output: ['y'] },
        { opType: 'Identity', input: ['x.float32'], output: ['z'] },
      ],
    });
    const model = rewritten(bytes);
    if (model === undefined) throw new Error('it is not rewritten');
    const { graph } = assembled(bytes, model);
    expect(graph?.input.map(({ name }) => name)).toEqual(['x.float32.2', 'x.float32']);
    expect(graph?.output.map(({ name }) => name)).toEqual(['y.float32', 'z']);
    expect(graph?.node.map(({ opType, input, output }) => [opType, ...input, ...output])).toEqual([
      ['Cast', 'x.float32.2', 'x'],
      ['Identity', 'x', 'y'],
      ['Identity', 'x.float32', 'z'],
      ['Cast', 'y', 'y.float32'],
    ]);
    expect([...model.floatInputs]).toEqual([['x', 'x.float32.2']]);
    expect([...model.floatOutputs]).toEqual([['y', 'y.float32']]);
  });

  test('takes weights as ranges of the file: only what changes is copied', () => {
    const weights = new Uint8Array(4 * 1024 * 1024);
    const bytes = exportedModel({
      inputs: [value('x', ElementType.BFLOAT16, ['n', 1])],
      outputs: [value('y', ElementType.BFLOAT16, ['n', 1])],
      nodes: [{ opType: 'Identity', input: ['x'], output: ['y'] }],
      initializers: [{ name: 'w', dataType: ElementType.FLOAT, dims: [1024n, 1024n], rawData: weights }],
    });
    const model = rewritten(bytes);
    const own = (model?.pieces ?? []).filter((piece) => !isRange(piece));
    expect(own.reduce((sum, piece) => sum + (isRange(piece) ? 0 : piece.byteLength), 0)).toBeLessThan(1_000);
    expect(model?.byteLength).toBeGreaterThan(weights.byteLength);
  });

  test('adds two Casts to an identity, and changes nothing else', () => {
    const bytes = identityModel('BF16');
    const model = rewritten(bytes);
    expect(model && operators(assembled(bytes, model))).toEqual(['Cast', 'Identity', 'Cast']);
  });
});

describe('an input with an initializer', () => {
  /** `count` inputs besides `x`, each with an initializer of so many bytes. */
  const withDefaults = (count: number, bytes = 4, irVersion = 8): Uint8Array => {
    const names = Array.from({ length: count }, (_, index) => `w${index}`);
    return exportedModel({
      inputs: [value('x', ElementType.UINT8, [bytes]), ...names.map((name) => value(name, ElementType.UINT8, [bytes]))],
      outputs: [value('y', ElementType.UINT8, [bytes])],
      nodes: [{ opType: 'Identity', input: ['x'], output: ['y'] }],
      initializers: names.map((name, index) => ({
        name,
        dataType: ElementType.UINT8,
        dims: [BigInt(bytes)],
        rawData: new Uint8Array(bytes).fill(index),
      })),
      irVersion,
    });
  };

  test('gives its initializer up, and keeps the values as its default', () => {
    const bytes = withDefaults(2);
    const model = rewritten(bytes);
    expect([...(model?.defaults ?? [])]).toEqual([
      ['w0', { shape: [4], data: new Uint8Array(4) }],
      ['w1', { shape: [4], data: new Uint8Array(4).fill(1) }],
    ]);
    expect(model && assembled(bytes, model).graph?.initializer).toEqual([]);
  });

  test.each([
    ['of a format without optional inputs', withDefaults(1, 4, 3)],
    ['above 1 MiB', withDefaults(1, 2 ** 20 + 1)],
    ['among more than 16, which are weights', withDefaults(17)],
  ])('stays as it is: %s', (_, bytes) => {
    expect(rewritten(bytes)).toBeUndefined();
  });

  test('is optional among weights where the configuration names it', () => {
    const message = inMemory(withDefaults(17));
    const outline = outlineOf(message);
    const plan = outline && planRewriting(message, outline, { inputs: ['x', 'w3'] });
    expect(plan?.defaults.map(({ input }) => input.name)).toEqual(['w3']);
  });
});

describe('a value that is no tensor of the protocol', () => {
  const scalar = tensorType(ElementType.FLOAT, []);
  const withOutput = (type: ReturnType<typeof tensorType>): Uint8Array =>
    exportedModel({
      inputs: [value('x', ElementType.FLOAT, ['n'])],
      outputs: [{ name: 'out', type }],
      nodes: [{ opType: 'Anything', input: ['x'], output: ['out'] }],
    });
  const sparse = { value: { case: 'sparseTensorType', value: { elemType: ElementType.FLOAT } } } as const;

  test.each([
    [sequenceOf(scalar), /output 'out' is a sequence of tensors, .*: export each tensor of the sequence as an output/],
    [sequenceOf(mapTo(scalar)), /output 'out' is a sequence of maps, .*: if skl2onnx made .*'zipmap': False/],
    [mapTo(scalar), /output 'out' is a map, .*: if skl2onnx made .*'zipmap': False/],
    [optionalOf(scalar), /output 'out' is an optional tensor, .*: export the tensor itself, without Optional/],
    [optionalOf(sequenceOf(scalar)), /output 'out' is an optional sequence, .*: export the tensor itself/],
    [sparse, /output 'out' is a sparse tensor, .*: export it as a dense tensor/],
    [tensorType(ElementType.COMPLEX64, []), /output 'out' is a tensor of COMPLEX64: export the real and the imaginary/],
    [tensorType(ElementType.INT4, []), /output 'out' is a tensor of INT4: cast it to a datatype of the protocol/],
  ])('is named as an output, with what to export: %#', (type, problem) => {
    expect(problemOf(withOutput(type))).toMatch(problem);
  });

  test('is named as an input too', () => {
    const bytes = exportedModel({
      inputs: [{ name: 'list', type: sequenceOf(scalar) }],
      outputs: [value('y', ElementType.FLOAT, [])],
      nodes: [{ opType: 'SequenceAt', input: ['list'], output: ['y'] }],
    });
    expect(problemOf(bytes)).toMatch(/input 'list' is a sequence of tensors, and only tensors can be served/);
  });

  test.each([
    ['a sequence', sequenceModel()],
    ['an element type without a datatype', float8Model()],
  ])('is left out of the graph where the configuration lists other outputs: %s', (_, bytes) => {
    const model = rewritten(bytes, ['z']);
    expect(model && assembled(bytes, model).graph?.output.map(({ name }) => name)).toEqual(['z']);
  });

  test('that is the only output is refused whatever is listed', () => {
    expect(problemOf(optionalModel())).toMatch(/without Optional$/);
  });
});
