/**
 * Embedding tables: the rows that a Gather picks by ids, such as the vectors of a vocabulary. They are stored as int8 with a scale for each
 * row, and only the rows that were picked become float again. Nothing multiplies the integers, so they have 8 bits.
 */

import type { NodeProto } from '../../onnx/onnx_pb.ts';
import type { Note } from '../note.ts';
import { integer, integerAttribute } from '../onnx/attribute.ts';
import { type Graph, nameOf } from '../onnx/graph.ts';
import { DataType, elementsOf, floatsOf, shapeOf } from '../onnx/tensor-values.ts';
import { quantizeChannels } from './quantization.ts';

/** In a smaller table, the nodes that are added cost more than the bytes that are saved. */
const MIN_ELEMENTS = 4_096;
const MOST = 127;

/**
 * @param keep names of nodes that stay in float.
 * @returns a note for each Gather that reads a large table.
 */
export function quantizeTables(graph: Graph, keep: ReadonlySet<string>): Note[] {
  const { consumers } = graph.links();
  const notes: Note[] = [];
  const stored = new Map<string, StoredTable>();
  for (const node of [...graph.nodes]) {
    const table = tableOf(graph, node);
    if (table === undefined) continue;
    const about = { node: nameOf(node), opType: node.opType };
    const readers = consumers(table.name);
    const reason = obstacle(graph, table, readers, keep);
    if (reason !== undefined) {
      notes.push({ ...about, kind: 'kept', text: reason });
      continue;
    }
    const made = stored.get(table.name) ?? store(graph, table);
    stored.set(table.name, made);
    pick(graph, node, made);
    notes.push({ ...about, kind: 'quantized', text: `int8 table, a scale for each of ${table.rows} rows` });
  }
  return notes;
}

interface Table {
  readonly name: string;
  readonly values: Float32Array;
  readonly rows: number;
  readonly width: number;
}

/** `undefined` where the node picks no rows of a large table of float32. */
function tableOf(graph: Graph, node: NodeProto): Table | undefined {
  const [name = ''] = node.input;
  const tensor = graph.constant(name);
  if (node.opType !== 'Gather' || node.domain !== '' || tensor === undefined) return undefined;
  const [rows = 0, width = 0, ...others] = shapeOf(tensor);
  const isPick = integerAttribute(node, 'axis', 0) === 0 && others.length === 0 && width > 0;
  if (!isPick || tensor.dataType !== DataType.FLOAT || elementsOf(tensor) < MIN_ELEMENTS) return undefined;
  const values = floatsOf(tensor);
  return values && { name, values, rows, width };
}

/** @returns why the table stays as it is. */
function obstacle(
  graph: Graph,
  { name, values }: Table,
  readers: readonly NodeProto[],
  keep: ReadonlySet<string>,
): string | undefined {
  if (readers.some((reader) => keep.has(nameOf(reader)))) return 'it is to stay in float';
  // As in models that also read their answers from the vectors of the vocabulary.
  const other = readers.find((reader) => tableOf(graph, reader)?.name !== name);
  if (other !== undefined) return `node '${nameOf(other)}' (${other.opType}) reads its table too`;
  if (graph.isExposed(name)) return 'a subgraph or an output reads its table';
  return values.every(Number.isFinite) ? undefined : 'its table is not finite';
}

/** Names of the constants. */
interface StoredTable {
  readonly integers: string;
  readonly scales: string;
}

function store(graph: Graph, { name, values, rows, width }: Table): StoredTable {
  const { integers, scales } = quantizeChannels(values, [rows, width], 0, { most: MOST });
  return {
    integers: graph.addConstant(`${name}.int8`, integers, [rows, width]),
    // With an axis of 1, so that the scales of picked rows meet their elements.
    scales: graph.addConstant(`${name}.scale`, scales, [rows, 1]),
  };
}

/** The node's output comes of the picked integers and their scales. */
function pick(graph: Graph, node: NodeProto, { integers, scales }: StoredTable): void {
  const [, ids = ''] = node.input;
  const [output = ''] = node.output;
  graph.nodes.splice(graph.nodes.indexOf(node), 1);
  const picked = graph.addNode('Gather', graph.freshName(`${output}.int8`), [integers, ids]);
  const steps = graph.addNode('Cast', graph.freshName(`${output}.steps`), [picked], {
    attributes: [integer('to', DataType.FLOAT)],
  });
  const scale = graph.addNode('Gather', graph.freshName(`${output}.scale`), [scales, ids]);
  graph.addNode('Mul', output, [steps, scale]);
}
