/** Models of older operator sets answer the same after they were brought to a newer one. */

import { describe, expect, test } from 'vitest';
import { Graph } from '../../../src/compress/onnx/graph.ts';
import type { OnnxModel } from '../../../src/compress/onnx/model-file.ts';
import { upgradeOperatorSet } from '../../../src/compress/onnx/operator-set.ts';
import { outputsOf, randomFeeds } from '../../support/model-runs.ts';
import { type AttributeValue, defectsOf, Network } from '../../support/network.ts';

function upgraded(model: OnnxModel): OnnxModel {
  const graph = new Graph(model);
  upgradeOperatorSet(graph);
  return graph.toModel('upgraded');
}

interface Case {
  readonly what: string;
  readonly from: number;
  readonly axes?: readonly number[];
  readonly outputAxes?: readonly (number | string)[];
  readonly build: (network: Network) => string;
}

function attributes(opType: string, given: Readonly<Record<string, AttributeValue>>): (network: Network) => string {
  return (network) => network.add(opType, ['x'], given);
}

const FLOATS = (...values: number[]) => Float32Array.from(values);

const CASES: readonly Case[] = [
  { what: 'Clip by attributes', from: 7, build: attributes('Clip', { min: { float: -0.5 }, max: { float: 0.25 } }) },
  { what: 'Clip with one limit', from: 9, build: attributes('Clip', { min: { float: 0 } }) },
  { what: 'Slice by attributes', from: 9, build: attributes('Slice', { starts: [1, 0], ends: [3, 2], axes: [1, 2] }) },
  { what: 'Slice without axes', from: 9, build: attributes('Slice', { starts: [0, 1], ends: [9, 3] }) },
  { what: 'Pad by attributes', from: 10, build: attributes('Pad', { pads: [0, 1, 0, 0, 0, 2], value: { float: 7 } }) },
  { what: 'Unsqueeze', from: 11, build: attributes('Unsqueeze', { axes: [1] }) },
  { what: 'Squeeze', from: 12, axes: [2, 1, 4], build: attributes('Squeeze', { axes: [1] }) },
  { what: 'Squeeze of whatever is 1', from: 12, axes: [2, 1, 4], build: attributes('Squeeze', {}) },
  { what: 'ReduceSum', from: 11, build: attributes('ReduceSum', { axes: [1], keepdims: 0 }) },
  { what: 'Softmax over several axes', from: 11, build: attributes('Softmax', { axis: 1 }) },
  { what: 'Softmax over its default axis', from: 9, build: attributes('Softmax', {}) },
  { what: 'Softmax over the last axis', from: 11, build: attributes('Softmax', { axis: 2 }) },
  { what: 'LogSoftmax', from: 12, build: attributes('LogSoftmax', { axis: 1 }) },
  { what: 'Dropout', from: 7, build: attributes('Dropout', { ratio: { float: 0.4 } }) },
  {
    what: 'Split',
    from: 11,
    build: (network) => {
      const first = network.add('Split', ['x'], { axis: 1, split: [1, 2] });
      network.nodes.at(-1)?.output.push('rest');
      return network.add('Concat', ['rest', first], { axis: 1 });
    },
  },
  {
    what: 'Upsample with scales as an attribute',
    from: 8,
    axes: [1, 1, 2, 3],
    build: (network) => {
      const name = network.add('Upsample', ['x'], { mode: 'nearest' });
      network.floatsAttribute('scales', [1, 1, 2, 2]);
      return name;
    },
  },
  {
    what: 'Upsample, linear, with scales as an input',
    from: 9,
    axes: [1, 1, 2, 3],
    build: (network) =>
      network.add('Upsample', ['x', network.constant('scales', FLOATS(1, 1, 2, 3), [4])], { mode: 'linear' }),
  },
  {
    what: 'Resize of version 10',
    from: 10,
    axes: [1, 1, 4, 4],
    build: (network) =>
      network.add('Resize', ['x', network.constant('scales', FLOATS(1, 1, 1.5, 2), [4])], { mode: 'nearest' }),
  },
  {
    what: 'BatchNormalization of version 7',
    from: 7,
    axes: [2, 3, 4, 4],
    build: (network) => network.batchNorm('x', 3),
  },
  {
    what: 'Scatter',
    from: 9,
    axes: [2, 3],
    build: (network) => {
      const indices = network.constant('indices', BigInt64Array.of(0n, 2n, 1n), [1, 3]);
      return network.add('Scatter', ['x', indices, network.constant('updates', FLOATS(7, 8, 9), [1, 3])], { axis: 1 });
    },
  },
];

describe('brought to version 13', () => {
  test.each(CASES)('$what ($from) answers the same', async ({ from, axes = [2, 3, 4], outputAxes, build }) => {
    const network = new Network(4);
    const output = build(network);
    const rank = outputAxes ?? [];
    const model = network.model([{ name: 'x', axes }], [{ name: output, axes: rank }], from);
    // What shape it has is for ONNX Runtime to say.
    for (const { type } of model.graph?.output ?? [])
      if (type?.value.case === 'tensorType') delete type.value.value.shape;
    const feeds = [randomFeeds('x', axes, network.random)];
    const after = upgraded(model);
    expect(after.opsetImport.map(({ version }) => version)).toEqual([13n]);
    expect(defectsOf(after)).toEqual([]);
    const [before] = await outputsOf(model, feeds);
    const [now] = await outputsOf(after, feeds);
    expect(now?.length).toBe(before?.length);
    for (const [at, value] of now?.entries() ?? []) expect(value).toBeCloseTo(before?.[at] ?? Number.NaN, 6);
  });

  test('a newer model is left as it is', () => {
    const network = new Network();
    const model = network.model([{ name: 'x', axes: [1] }], [{ name: network.add('Relu', ['x']), axes: [1] }], 19);
    expect(upgraded(model).opsetImport.map(({ version }) => version)).toEqual([19n]);
  });
});

describe('what cannot be brought there is refused, with what to do', () => {
  test('a version before 7', () => {
    const network = new Network();
    const model = network.model([{ name: 'x', axes: [1] }], [{ name: network.add('Relu', ['x']), axes: [1] }], 6);
    expect(() => upgraded(model)).toThrow('operator set 6 is too old: export the model with operator set 13 or later');
  });

  test('a Dropout whose mask is asked for, and a Loop', () => {
    const network = new Network();
    const name = network.add('Dropout', ['x']);
    network.nodes.at(-1)?.output.push('mask');
    const model = network.model([{ name: 'x', axes: [1] }], [{ name, axes: [1] }], 11);
    expect(() => upgraded(model)).toThrow(/node 'node_dropout0' \(Dropout, operator set 11\) gives a mask/);
    const other = new Network();
    const loop = other.add('Loop', ['x']);
    expect(() => upgraded(other.model([{ name: 'x', axes: [1] }], [{ name: loop, axes: [1] }], 11))).toThrow(
      /has a subgraph/,
    );
  });
});
