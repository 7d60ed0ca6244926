import { readFile } from 'node:fs/promises';
import type { AnyTensor, ModelMetadata, Shape } from '../client/inference-client.ts';
import { decodeTensor } from '../client/tensor.ts';
import { messageOf } from '../error-message.ts';
import { BytesTensorError, bytesElementEnd } from '../wire/bytes-tensor.ts';
import { DATATYPE_BYTES, type Datatype } from '../wire/tensor.ts';
import { CliError } from './cli-error.ts';
import { completeShape, findInput } from './model-signature.ts';

/**
 * Reads the raw contents of the input `name` from a file: its elements as they are sent, little-endian and without padding.
 * Without `shape`, the model's metadata and the number of elements give it.
 * @throws CliError
 */
export async function readRawInput(
  metadata: ModelMetadata,
  name: string,
  file: string,
  shape: Shape | undefined,
): Promise<AnyTensor> {
  const spec = findInput(metadata, name);
  const raw = await readFile(file).catch((error: unknown) => {
    throw new CliError(`cannot read '${file}': ${messageOf(error)}`, { cause: error });
  });
  try {
    const remedy = `give its shape with --shape ${name}=SIZES`;
    return decodeTensor(spec.datatype, shape ?? completeShape(spec, countElements(spec.datatype, raw), remedy), raw);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof BytesTensorError)) throw error;
    throw new CliError(`input '${name}' from '${file}': ${error.message}`, { cause: error });
  }
}

function countElements(datatype: Datatype, raw: Uint8Array): number {
  const size = DATATYPE_BYTES[datatype];
  if (size !== undefined) return raw.length / size;
  let count = 0;
  for (let at = 0; at < raw.length; at = bytesElementEnd(raw, at)) count += 1;
  return count;
}
