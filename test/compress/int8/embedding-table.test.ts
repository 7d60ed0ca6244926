import { describe, expect, test } from 'vitest';
import { quantizeTables } from '../../../src/compress/int8/embedding-table.ts';
import { Graph } from '../../../src/compress/onnx/graph.ts';
import { encodeOnnxModel, type OnnxModel } from '../../../src/compress/onnx/model-file.ts';
import { fp32, outputsOf } from '../../support/model-runs.ts';
import { defectsOf, Network, operatorsOf } from '../../support/network.ts';

const [ROWS, WIDTH] = [300, 16];
/** The number of ONNX for INT64. */
const INT64 = 7;
const NONE: ReadonlySet<string> = new Set();

/** `ids` -> the rows of a table; row r is r times as large as the first. */
function network(extend: (n: Network, picked: string, table: string) => string = (_, picked) => picked): OnnxModel {
  const n = new Network(5);
  const values = Float32Array.from(
    { length: ROWS * WIDTH },
    (_, at) => (n.random() * 2 - 1) * (1 + Math.floor(at / WIDTH)),
  );
  const table = n.constant('table', values, [ROWS, WIDTH]);
  const ids = n.add('Cast', ['ids'], { to: INT64 });
  const output = extend(n, n.add('Gather', [table, ids], { axis: 0 }), table);
  return n.model([{ name: 'ids', axes: ['rows', 'length'] }], [{ name: output, axes: ['rows', 'length', WIDTH] }]);
}

function quantized(model: OnnxModel, keep = NONE) {
  const graph = new Graph(model);
  const notes = quantizeTables(graph, keep);
  return { model: graph.toModel('int8'), notes };
}

describe('an embedding table', () => {
  test('takes a quarter of its bytes, and each row keeps its own precision', async () => {
    const { model, notes } = quantized(network());
    expect(notes).toEqual([
      { node: 'node_gather1', opType: 'Gather', kind: 'quantized', text: 'int8 table, a scale for each of 300 rows' },
    ]);
    expect(defectsOf(model)).toEqual([]);
    expect(encodeOnnxModel(model, 'int8').length).toBeLessThan(encodeOnnxModel(network(), 'whole').length * 0.35);
    // Negative ids count from the end.
    const ids = [0, 1, 150, 299, -1, -300];
    const feeds = [fp32('ids', [2, 3], ids)];
    const [before] = await outputsOf(network(), feeds);
    const [after] = await outputsOf(model, feeds);
    for (const [at, value] of before?.entries() ?? []) {
      const row = ids[Math.floor(at / WIDTH)]!;
      const largest = 1 + ((row + ROWS) % ROWS);
      expect(Math.abs(value - (after?.[at] ?? Number.NaN))).toBeLessThanOrEqual((largest / 254) * 1.001);
    }
    expect(after).not.toEqual(before);
  });

  test('that two nodes pick from is stored once', () => {
    const model = network((n, picked, table) => {
      const others = n.add('Cast', ['ids'], { to: INT64 });
      return n.add('Add', [picked, n.add('Gather', [table, others])]);
    });
    const { model: made, notes } = quantized(model);
    expect(notes.map(({ kind }) => kind)).toEqual(['quantized', 'quantized']);
    expect(made.graph?.initializer.map(({ name }) => name)).toEqual(['table.int8', 'table.scale']);
    expect(operatorsOf(made).filter((kind) => kind === 'Gather')).toHaveLength(4);
  });

  test('that something else reads too stays as it is, with its reader as the reason', () => {
    const model = network((n, picked, table) => n.add('MatMul', [picked, n.add('Transpose', [table])]));
    expect(quantized(model).notes).toEqual([
      expect.objectContaining({ kind: 'kept', text: "node 'node_transpose2' (Transpose) reads its table too" }),
    ]);
  });

  test('stays in float where its node is to', () => {
    expect(quantized(network(), new Set(['node_gather1'])).notes).toEqual([
      expect.objectContaining({ kind: 'kept', text: 'it is to stay in float' }),
    ]);
  });

  test('that holds no finite numbers stays as it is', () => {
    const model = network();
    new Float32Array(model.graph!.initializer[0]!.rawData.buffer)[3] = Number.NaN;
    expect(quantized(model).notes).toEqual([
      expect.objectContaining({ kind: 'kept', text: 'its table is not finite' }),
    ]);
  });
});

test.each<readonly [string, (n: Network) => string]>([
  ['a small table', (n) => n.add('Gather', [n.weights('small', [100, WIDTH]), n.add('Cast', ['ids'], { to: INT64 })])],
  [
    'columns',
    (n) => n.add('Gather', [n.weights('wide', [WIDTH, 400]), n.add('Cast', ['ids'], { to: INT64 })], { axis: 1 }),
  ],
])('%s are not embeddings', (_, build) => {
  const n = new Network(5);
  const output = build(n);
  const model = n.model([{ name: 'ids', axes: ['rows'] }], [{ name: output, axes: ['a', 'b'] }]);
  expect(quantized(model).notes).toEqual([]);
});
