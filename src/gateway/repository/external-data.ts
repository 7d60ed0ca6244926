/** The files beside an ONNX model that hold its weights (`external_data`), without reading the weights. */

import { statFile } from './disk.ts';
import { fieldAt, MessageFile } from './message-file.ts';

/** Messages of ONNX on the way to a tensor, with the fields that lead further. */
type Kind = 'model' | 'graph' | 'function' | 'node' | 'attribute' | 'sparse-tensor' | 'tensor' | 'entry';

const FIELDS: Readonly<Record<Kind, ReadonlyMap<number, Kind>>> = {
  model: new Map([
    [7, 'graph'],
    [25, 'function'],
  ]),
  graph: new Map([
    [1, 'node'],
    [5, 'tensor'],
    [15, 'sparse-tensor'],
  ]),
  function: new Map([[7, 'node']]),
  node: new Map([[5, 'attribute']]),
  attribute: new Map([
    [5, 'tensor'],
    [6, 'graph'],
    [10, 'tensor'],
    [11, 'graph'],
  ]),
  'sparse-tensor': new Map([
    [1, 'tensor'],
    [2, 'tensor'],
  ]),
  tensor: new Map([[13, 'entry']]),
  entry: new Map(),
};

const KEY = 1;
const VALUE = 2;
const MAX_TEXT_BYTES = 4_096;
/** Graphs lie in graphs (If, Loop), and a damaged file may nest without end. */
const MAX_DEPTH = 32;

/** Paths from the model's directory. Empty where the file cannot be followed. */
export async function readExternalLocations(file: string): Promise<ReadonlySet<string>> {
  const locations = new Set<string>();
  const stat = await statFile(file);
  const message = stat?.isFile() === true ? await MessageFile.open(file, Number(stat.size)) : undefined;
  if (message === undefined) return locations;
  const textOf = async ({ start, end }: { readonly start: number; readonly end: number }): Promise<string> =>
    (await message.bytes(start, Math.min(end - start, MAX_TEXT_BYTES))).toString('utf8');
  const visit = async (kind: Kind, from: number, to: number, depth: number): Promise<void> => {
    let key = '';
    for (let at = from; at < to; ) {
      const field = await fieldAt(message, at, to);
      if (typeof field === 'string' || field.end > to) return;
      if (kind === 'entry') {
        if (field.number === KEY) key = await textOf(field);
        else if (field.number === VALUE && key === 'location') locations.add(await textOf(field));
      }
      const inner = FIELDS[kind].get(field.number);
      if (inner !== undefined && depth < MAX_DEPTH) await visit(inner, field.start, field.end, depth + 1);
      at = field.end;
    }
  };
  try {
    await visit('model', 0, message.size, 0);
  } finally {
    message.close();
  }
  return locations;
}
