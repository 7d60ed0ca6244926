/** Techniques that change only weights: float16, and pruning. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compress } from '../../src/compress/compress.ts';
import { Graph } from '../../src/compress/onnx/graph.ts';
import { encodeOnnxModel, type OnnxModel } from '../../src/compress/onnx/model-file.ts';
import { DataType, floatsOf, tensorOf, toHalf } from '../../src/compress/onnx/tensor-values.ts';
import { toFp16 } from '../../src/wire/half-precision.ts';
import { outputsOf, randomFeeds } from '../support/model-runs.ts';
import { defectsOf, Network, operatorsOf } from '../support/network.ts';

function network(): OnnxModel {
  const n = new Network(3);
  const conv = n.add('Relu', [n.conv('x', 4, 32)]);
  const flat = n.add('Flatten', [n.add('GlobalAveragePool', [conv])]);
  const output = n.gemm(flat, 32, 40);
  return n.model([{ name: 'x', axes: ['rows', 4, 6, 6] }], [{ name: output, axes: ['rows', 40] }]);
}

const FEEDS = [randomFeeds('x', [2, 4, 6, 6], new Network(9).random)];

function weightsOf(model: OnnxModel): Float32Array[] {
  return (model.graph?.initializer ?? []).flatMap((tensor) => floatsOf(tensor) ?? []);
}

test('half precision is read and written as in the rest of the product', () => {
  fc.assert(
    fc.property(fc.array(fc.float({ noNaN: true }), { minLength: 1 }), (numbers) => {
      const values = Float32Array.from(numbers);
      const bits = toHalf(values);
      expect([...bits]).toEqual([...values].map(toFp16));
      const read = floatsOf(tensorOf('t', bits, [bits.length]));
      expect([...toHalf(read ?? new Float32Array())]).toEqual([...bits]);
    }),
  );
});

describe('fp16-weights', () => {
  test('halves the file, and changes answers by little', async () => {
    const { model: half, notes } = compress(network(), { kind: 'fp16-weights' });
    expect(defectsOf(half)).toEqual([]);
    expect(encodeOnnxModel(half, 'half').length).toBeLessThan(encodeOnnxModel(network(), 'whole').length * 0.65);
    // Biases are small, and stay as they are.
    expect(notes).toEqual([
      { node: 'w0', opType: 'Initializer', kind: 'cast', text: '1152 weights as float16' },
      { node: 'w2', opType: 'Initializer', kind: 'cast', text: '1280 weights as float16' },
    ]);
    const [before] = await outputsOf(network(), FEEDS);
    const [after] = await outputsOf(half, FEEDS);
    for (const [at, value] of after?.entries() ?? []) expect(value).toBeCloseTo(before?.[at] ?? Number.NaN, 2);
  });

  test('leaves what float16 cannot hold, by name, and says where there is nothing to do', () => {
    const n = new Network(1);
    const big = n.constant('big', new Float32Array(300).fill(70_000), [300]);
    const model = n.model([{ name: 'x', axes: [300] }], [{ name: n.add('Add', ['x', big]), axes: [300] }]);
    expect(() => compress(model, { kind: 'fp16-weights' })).toThrow(
      'fp16-weights: no tensor of at least 256 weights is stored as float32',
    );
    n.nodes.push(...network().graph!.node);
    n.constants.push(...network().graph!.initializer);
    const both = n.model([{ name: 'x', axes: [300] }], [{ name: 'add0', axes: [300] }]);
    both.graph!.output.push(...network().graph!.output);
    expect(compress(both, { kind: 'fp16-weights' }).notes[0]).toEqual({
      node: 'big',
      opType: 'Initializer',
      kind: 'kept',
      text: 'it holds values beyond 65504, the greatest of float16',
    });
  });

  test('twice is once', () => {
    const { model: half } = compress(network(), { kind: 'fp16-weights' });
    expect(() => compress(half, { kind: 'fp16-weights' })).toThrow('no tensor of at least 256 weights');
  });
});

describe('sparse:P', () => {
  test.each([0.1, 0.5, 0.9])('%d: sets that share of each layer to 0, its smallest', (share) => {
    const { model: sparse, notes } = compress(network(), { kind: 'sparse', share });
    expect(defectsOf(sparse)).toEqual([]);
    expect(notes.map(({ kind }) => kind)).toEqual(['pruned', 'pruned']);
    expect(notes[0]?.text).toContain('it saves bytes only where the file is packed');
    for (const [index, name] of ['w0', 'w2'].entries()) {
      const before = floatsOf(new Graph(network()).constant(name)!)!;
      const after = weightsOf(sparse).filter(({ length }) => length === before.length)[0]!;
      const gone = [...before.keys()].filter((at) => after[at] === 0);
      expect(gone.length, `layer ${index}`).toBe(Math.floor(before.length * share));
      const left = [...before.keys()].filter((at) => after[at] !== 0);
      expect(Math.max(...gone.map((at) => Math.abs(before[at]!)))).toBeLessThanOrEqual(
        Math.min(...left.map((at) => Math.abs(before[at]!))),
      );
      expect(left.every((at) => after[at] === before[at])).toBe(true);
    }
  });

  test('keeps a small first layer, on which all others depend', () => {
    const n = new Network(2);
    const first = n.add('Relu', [n.conv('x', 4, 32)]);
    const second = n.conv(n.add('Relu', [n.conv(first, 32, 64)]), 64, 4);
    const axes = ['rows', 4, 6, 6];
    const { notes } = compress(n.model([{ name: 'x', axes }], [{ name: second, axes }]), {
      kind: 'sparse',
      share: 0.5,
    });
    expect(notes.map(({ kind, text }) => `${kind} ${text}`.slice(0, 24))).toEqual([
      'kept an input layer is k',
      'pruned 9216 of 18432 wei',
      'pruned 1152 of 2304 weig',
    ]);
  });

  test('counts exactly where many weights are alike', () => {
    const n = new Network(1);
    const alike = n.constant('w', new Float32Array(2048).fill(0.5), [32, 64]);
    const model = n.model([{ name: 'x', axes: [1, 32] }], [{ name: n.add('MatMul', ['x', alike]), axes: [1, 64] }]);
    const { model: sparse } = compress(model, { kind: 'sparse', share: 0.25 });
    expect(weightsOf(sparse)[0]?.filter((value) => value === 0).length).toBe(512);
  });

  test('is refused where no layer is large enough', () => {
    const n = new Network(1);
    const model = n.model([{ name: 'x', axes: [1, 4] }], [{ name: n.gemm('x', 4, 4), axes: [1, 4] }]);
    expect(() => compress(model, { kind: 'sparse', share: 0.5 })).toThrow(
      'no layer has at least 1024 weights of float32',
    );
  });
});

describe('models that are not float', () => {
  /** y = x W with elements of another type. */
  function product(dataType: number, weight: ReturnType<typeof tensorOf>): OnnxModel {
    const n = new Network(1);
    n.constants.push(weight);
    const output = n.add('MatMul', ['x', 'w']);
    return n.model([{ name: 'x', axes: ['rows', 32], dataType }], [{ name: output, axes: ['rows', 64], dataType }]);
  }

  const half = product(DataType.FLOAT16, tensorOf('w', new Uint16Array(2048).fill(0x3c00), [32, 64]));
  const whole = product(DataType.INT32, tensorOf('w', new Int32Array(2048).fill(1), [32, 64]));

  test.each([
    ['float16', half],
    ['int32', whole],
  ])('%s: each technique says that there is nothing for it', (_, model) => {
    expect(() => compress(model, { kind: 'int8' }, new Map())).toThrow(
      "int8: nothing in the model can compute in integers: 'node_matmul0' (MatMul): its weights are not float32",
    );
    expect(() => compress(model, { kind: 'fp16-weights' })).toThrow('is stored as float32');
    expect(() => compress(model, { kind: 'rank', rank: 2 })).toThrow('its weights are no constants of float32');
    expect(() => compress(model, { kind: 'sparse', share: 0.5 })).toThrow('no layer has at least');
  });

  test('a model without weights has nothing to quantize', () => {
    const n = new Network(1);
    const model = n.model([{ name: 'x', axes: [1] }], [{ name: n.add('Relu', ['x']), axes: [1] }]);
    expect(() => compress(model, { kind: 'int8' }, new Map())).toThrow(/nothing in the model can compute in integers/);
    expect(() => compress(model, { kind: 'int8' })).toThrow('int8 needs the ranges of a calibration');
  });
});

test('the model that comes in is not changed', () => {
  const model = network();
  const before = encodeOnnxModel(model, 'before');
  for (const technique of [
    { kind: 'fp16-weights' },
    { kind: 'sparse', share: 0.5 },
    { kind: 'rank', rank: 2 },
  ] as const) {
    compress(model, technique);
    expect(encodeOnnxModel(model, 'after')).toEqual(before);
  }
  expect(operatorsOf(model)).toEqual(['Conv', 'Relu', 'GlobalAveragePool', 'Flatten', 'Gemm']);
});
