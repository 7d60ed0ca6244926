import { expect, test } from 'vitest';
import { restoreFloats } from '../../../src/compress/int8/stored-integers.ts';
import { Graph } from '../../../src/compress/onnx/graph.ts';
import { DataType, floatsOf } from '../../../src/compress/onnx/tensor-values.ts';
import { Network } from '../../support/network.ts';

const INTEGERS = Int8Array.of(1, -2, 3, -128, 127, 0);

/** A product with weights [2, 3] that are stored as int8, with such scales. */
function restored(scales: readonly number[], shape: readonly number[]) {
  const n = new Network();
  const floats = n.add('Cast', [n.constant('integers', INTEGERS, [2, 3])], { to: DataType.FLOAT });
  const weights = n.add('Mul', [n.constant('scales', Float32Array.from(scales), shape), floats]);
  const output = n.add('MatMul', ['x', weights]);
  const graph = new Graph(n.model([{ name: 'x', axes: ['rows', 2] }], [{ name: output, axes: ['rows', 3] }]));
  restoreFloats(graph);
  const constant = graph.constant(weights);
  return { kinds: graph.nodes.map(({ opType }) => opType), values: constant && [...(floatsOf(constant) ?? [])] };
}

test.each([
  ['all', [2], [], [2, -4, 6, -256, 254, 0]],
  ['each row', [1, 10], [2, 1], [1, -2, 3, -1280, 1270, 0]],
  ['each column', [1, 10, 100], [1, 3], [1, -20, 300, -128, 1270, 0]],
  ['each column, without an axis of rows', [1, 10, 100], [3], [1, -20, 300, -128, 1270, 0]],
])('weights stored as int8 with a scale for %s become float32', (_, scales, shape, values) => {
  expect(restored(scales, shape)).toEqual({ kinds: ['MatMul'], values });
});

test('weights with scales of another form stay as they are', () => {
  expect(restored([1, 2], [1, 1, 2, 1]).kinds).toEqual(['Cast', 'Mul', 'MatMul']);
});
