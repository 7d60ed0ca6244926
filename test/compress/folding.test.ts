/** Folding changes only the time of a computation: the int8 graph is made of the folded one, so it is looked at there. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fold, transpose } from '../../src/compress/folding.ts';
import { Graph } from '../../src/compress/onnx/graph.ts';
import type { OnnxModel } from '../../src/compress/onnx/model-file.ts';
import { DataType, toHalf } from '../../src/compress/onnx/tensor-values.ts';
import { outputsOf, randomFeeds } from '../support/model-runs.ts';
import { defectsOf, Network, operatorsOf } from '../support/network.ts';

const SHAPE = [2, 4, 5, 5];

function picture(network: Network, output: string): OnnxModel {
  return network.model([{ name: 'x', axes: ['rows', 4, 5, 5] }], [{ name: output, axes: ['rows', 4, 5, 5] }]);
}

async function folded(model: OnnxModel, rank = 4, shape: readonly number[] = SHAPE): Promise<OnnxModel> {
  const graph = new Graph(model);
  fold(graph, (tensor) => (tensor === 'x' ? rank : undefined));
  const after = graph.toModel('folded');
  expect(defectsOf(after)).toEqual([]);
  const feeds = [randomFeeds('x', shape, new Network(8).random)];
  const [before, now] = [await outputsOf(model, feeds), await outputsOf(after, feeds)];
  expect(now[0]?.length).toBe(before[0]?.length);
  for (const [at, value] of now[0]?.entries() ?? []) expect(value).toBeCloseTo(before[0]?.[at] ?? Number.NaN, 4);
  return after;
}

describe('behind a convolution', () => {
  const AFFINE: readonly [string, (n: Network, conv: string) => string][] = [
    ['batch normalization', (n, conv) => n.batchNorm(conv, 4)],
    ['a bias for each channel', (n, conv) => n.add('Add', [conv, n.weights('c', [1, 4, 1, 1])])],
    ['a bias on the left', (n, conv) => n.add('Add', [n.weights('c', [4, 1, 1]), conv])],
    ['one factor for all', (n, conv) => n.add('Mul', [conv, n.weights('c', [1])])],
    ['a divisor', (n, conv) => n.add('Div', [conv, n.constant('c', Float32Array.of(4), [])])],
    ['a difference', (n, conv) => n.add('Sub', [conv, n.weights('c', [4, 1, 1])])],
    ['a difference the other way', (n, conv) => n.add('Sub', [n.weights('c', [4, 1, 1]), conv])],
    [
      'all of them',
      (n, conv) => n.add('Add', [n.add('Mul', [n.batchNorm(conv, 4), n.weights('c', [1])]), n.weights('d', [4, 1, 1])]),
    ],
    ['an Identity in between', (n, conv) => n.batchNorm(n.add('Identity', [conv]), 4)],
  ];

  test.each(AFFINE)('%s becomes part of its weights', async (_, follow) => {
    for (const options of [{}, { bias: false }, { group: 4 }]) {
      const n = new Network(3);
      const model = picture(n, n.add('Relu', [follow(n, n.conv('x', 4, 4, options))]));
      expect(operatorsOf(await folded(model))).toEqual(['Conv', 'Relu']);
    }
  });

  const OTHERS: readonly [string, (n: Network) => string][] = [
    [
      'what is not alone in reading it',
      (n) => {
        const conv = n.conv('x', 4, 4);
        return n.add('Add', [n.batchNorm(conv, 4), conv]);
      },
    ],
    ['a factor for each column', (n) => n.add('Mul', [n.conv('x', 4, 4), n.weights('c', [5])])],
    [
      'a constant divided by it',
      (n) => n.add('Div', [n.constant('c', Float32Array.of(4), []), n.add('Exp', [n.conv('x', 4, 4)])]),
    ],
    ['another tensor', (n) => n.add('Add', [n.conv('x', 4, 4), 'x'])],
  ];

  test.each(OTHERS)('%s does not', async (_, build) => {
    const n = new Network(3);
    const output = build(n);
    const before = n.nodes.map(({ opType }) => opType);
    expect(operatorsOf(await folded(picture(n, n.add('Relu', [output]))))).toEqual([...before, 'Relu']);
  });

  test('an answer of the model stays one', async () => {
    const n = new Network(3);
    const conv = n.conv('x', 4, 4);
    const normed = n.batchNorm(conv, 4);
    const model = picture(n, normed);
    model.graph!.output.unshift(...picture(n, conv).graph!.output);
    expect(operatorsOf(await folded(model))).toEqual(['Conv', 'BatchNormalization']);
  });
});

describe('constants', () => {
  test('that are cast, named again, turned and shaped are what comes of it', async () => {
    const n = new Network(2);
    const half = n.constant('half', toHalf(Float32Array.from({ length: 12 }, () => n.random())), [3, 4]);
    const cast = n.add('Cast', [half], { to: DataType.FLOAT });
    const turned = n.add('Transpose', [n.add('Identity', [cast])], { perm: [1, 0] });
    const shape = n.constant('shape', BigInt64Array.of(2n, -1n, 1n), [3]);
    const shaped = n.add('Reshape', [turned, shape]);
    const axes = n.constant('axes', BigInt64Array.of(2n), [1]);
    const wide = n.add('Unsqueeze', [n.add('Squeeze', [shaped, axes]), n.constant('first', BigInt64Array.of(0n), [1])]);
    const output = n.add('Mul', ['x', wide]);
    const model = n.model([{ name: 'x', axes: [1, 2, 6] }], [{ name: output, axes: [1, 2, 6] }]);
    expect(operatorsOf(await folded(model, 3, [1, 2, 6]))).toEqual(['Mul']);
  });

  test('include the values of Constant nodes', () => {
    const n = new Network(1);
    const model = n.model([{ name: 'x', axes: [2] }], [{ name: n.add('Add', ['x', 'c']), axes: [2] }]);
    const constant = new Network(1);
    constant.add('Constant', [], {});
    const [node] = constant.nodes;
    node!.output = ['c'];
    constant.floatsAttribute('value_floats', [1, 2]);
    model.graph!.node.unshift(node!);
    const graph = new Graph(model);
    expect(graph.nodes.map(({ opType }) => opType)).toEqual(['Add']);
    expect(graph.toModel('same').graph?.initializer.map(({ name }) => name)).toEqual(['c']);
  });

  test('are transposed as by definition', () => {
    const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(shapes, fc.infiniteStream(fc.nat()), (shape, numbers) => {
        const order = shape.map((_, axis) => axis).sort(() => ((numbers.next().value ?? 0) % 3) - 1);
        const size = shape.reduce((a, b) => a * b, 1);
        const values = Float32Array.from({ length: size }, (_, at) => at);
        const result = transpose(values, shape, order);
        const sizes = order.map((axis) => shape[axis] ?? 1);
        for (let to = 0; to < size; to++) {
          // Where the element at `to` was before.
          const place: number[] = [];
          let rest = to;
          for (let axis = sizes.length - 1; axis >= 0; axis--) {
            place[order[axis] ?? 0] = rest % (sizes[axis] ?? 1);
            rest = Math.floor(rest / (sizes[axis] ?? 1));
          }
          const from = shape.reduce((sum, width, axis) => sum * width + (place[axis] ?? 0), 0);
          expect(result[to]).toBe(from);
        }
      }),
    );
  });
});

describe('a product and its bias', () => {
  const product = (n: Network): OnnxModel => {
    const sum = n.add('Add', [n.matmul('x', 6, 4), n.weights('b', [4])]);
    return n.model([{ name: 'x', axes: ['rows', 6] }], [{ name: sum, axes: ['rows', 4] }]);
  };

  test('are one Gemm where the input is a matrix', async () => {
    expect(operatorsOf(await folded(product(new Network(1)), 2, [3, 6]))).toEqual(['Gemm']);
  });

  test('stay two nodes where it is not', () => {
    const graph = new Graph(product(new Network(1)));
    expect(fold(graph, () => 3)).toEqual([]);
    expect(graph.nodes.map(({ opType }) => opType)).toEqual(['MatMul', 'Add']);
  });
});
