import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Graph, nameOf } from '../../../src/compress/onnx/graph.ts';
import { encodeOnnxModel, type OnnxModel } from '../../../src/compress/onnx/model-file.ts';
import { defectsOf, Network } from '../../support/network.ts';

/** Sums of sums: each node reads two of those before it, and all but the last few are read. */
function sums(picks: readonly (readonly [number, number])[]): OnnxModel {
  const network = new Network();
  const names = ['x'];
  for (const [a, b] of picks) {
    names.push(network.add('Add', [names[a % names.length] ?? 'x', names[b % names.length] ?? 'x']));
  }
  return network.model([{ name: 'x', axes: [1] }], [{ name: names.at(-1) ?? 'x', axes: [1] }]);
}

const PICKS = fc.array(fc.tuple(fc.nat(50), fc.nat(50)), { minLength: 1, maxLength: 40 });

describe('a graph', () => {
  test('comes out in order, whatever order its nodes are in, without those that lead nowhere', () => {
    fc.assert(
      fc.property(PICKS, fc.integer(), (picks, seed) => {
        const graph = new Graph(sums(picks));
        const { random } = new Network(seed);
        graph.nodes = graph.nodes
          .map((node) => ({ node, turn: random() }))
          .sort((a, b) => a.turn - b.turn)
          .map(({ node }) => node);
        expect(defectsOf(graph.toModel('turned'))).toEqual([]);
      }),
    );
  });

  test('in order stays in it', () => {
    fc.assert(
      fc.property(PICKS, (picks) => {
        const model = sums(picks);
        const kept = new Graph(model).toModel('same').graph?.node.map(nameOf) ?? [];
        const before = model.graph?.node.map(nameOf) ?? [];
        expect(kept).toEqual(before.filter((name) => kept.includes(name)));
      }),
    );
  });

  test('in a circle is refused by name', () => {
    const network = new Network();
    const first = network.add('Add', ['x', 'add1']);
    const second = network.add('Add', [first, 'x']);
    const model = network.model([{ name: 'x', axes: [1] }], [{ name: second, axes: [1] }]);
    expect(() => new Graph(model).toModel('it')).toThrow(/the graph runs in a circle at node 'node_add\d'/);
  });

  test('may be a chain of 20,000 nodes: depth does not matter', () => {
    const network = new Network();
    let tensor = 'x';
    for (let at = 0; at < 20_000; at++) tensor = network.add('Relu', [tensor]);
    const graph = new Graph(network.model([{ name: 'x', axes: [1] }], [{ name: tensor, axes: [1] }]));
    graph.nodes.reverse();
    expect(graph.toModel('turned').graph?.node.length).toBe(20_000);
  });

  test('gives new names that are free', () => {
    const network = new Network();
    const w = network.weights('w', [1]);
    const model = network.model([{ name: 'x', axes: [1] }], [{ name: network.add('Add', ['x', w]), axes: [1] }]);
    const graph = new Graph(model);
    expect([graph.freshName('w'), graph.freshName('w'), graph.freshName('x'), graph.freshName('new')]).toEqual([
      'w.2',
      'w.3',
      'x.2',
      'new',
    ]);
  });

  test('notes techniques one behind the other, and drops what exporters noted of their machine', () => {
    const network = new Network();
    const model = network.model([{ name: 'x', axes: [1] }], [{ name: network.add('Relu', ['x']), axes: [1] }]);
    for (const node of model.graph?.node ?? []) node.docString = '/home/somebody/train.py(12): forward';
    const once = new Graph(model).toModel('rank:4');
    const twice = new Graph(once).toModel('int8');
    expect(twice.metadataProps.map(({ key, value }) => `${key}=${value}`)).toEqual([
      'tensorgate.compressed=rank:4,int8',
    ]);
    expect(Buffer.from(encodeOnnxModel(twice, 'twice')).includes('/home/somebody')).toBe(false);
  });
});
