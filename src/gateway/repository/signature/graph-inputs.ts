/** The inputs and outputs that an ONNX graph lists itself: inputs that have an initializer are not reported by a session. */

import { statFile } from '../disk.ts';
import { fieldAt, MessageFile } from '../message-file.ts';

/** `ModelProto.graph`, `GraphProto.input` or `output`, `ValueInfoProto.name`. */
const PATHS = { inputs: [7, 11, 1], outputs: [7, 12, 1] } as const;
const MAX_NAME_BYTES = 64 * 1024;

/** Empty where the file cannot be followed. */
export function readGraphInputs(file: string): Promise<ReadonlySet<string>> {
  return readNames(file, PATHS.inputs);
}

/** Empty where the file cannot be followed. */
export function readGraphOutputs(file: string): Promise<ReadonlySet<string>> {
  return readNames(file, PATHS.outputs);
}

async function readNames(file: string, names: readonly number[]): Promise<ReadonlySet<string>> {
  const stat = await statFile(file);
  const message = stat && (await MessageFile.open(file, Number(stat.size)));
  const found = new Set<string>();
  if (message === undefined) return found;
  const visit = async (from: number, to: number, depth: number): Promise<void> => {
    for (let at = from; at < to; ) {
      const field = await fieldAt(message, at, to);
      if (typeof field === 'string' || field.end > to) return;
      if (field.number === names[depth]) {
        const isName = depth === names.length - 1;
        const length = Math.min(field.end - field.start, MAX_NAME_BYTES);
        if (isName) found.add((await message.bytes(field.start, length)).toString('utf8'));
        else await visit(field.start, field.end, depth + 1);
      }
      at = field.end;
    }
  };
  try {
    await visit(0, message.size, 0);
  } finally {
    message.close();
  }
  return found;
}
