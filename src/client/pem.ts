import { readFileSync } from 'node:fs';
import { messageOf } from '../error-message.ts';

/** A certificate or key: the path of a PEM file, or PEM itself. */
export type PemSource = string | Uint8Array;

const BEGIN = '-----BEGIN ';

/**
 * @param option that names the source, such as `tls.ca`
 * @throws TypeError where the file cannot be read, or is not PEM
 */
export function readPem(option: string, source: PemSource | undefined): Buffer | null {
  if (source === undefined) return null;
  if (typeof source === 'string' && !source.includes(BEGIN)) return readFile(option, source);
  const pem = Buffer.from(source);
  if (!pem.includes(BEGIN))
    throw new TypeError(`${option} is not PEM: it has no line that starts with ${BEGIN.trim()}`);
  return pem;
}

function readFile(option: string, path: string): Buffer {
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (error) {
    throw new TypeError(`${option}: cannot read '${path}': ${messageOf(error)}`, { cause: error });
  }
  if (!pem.includes(BEGIN))
    throw new TypeError(`${option}: '${path}' is not a PEM file: it has no ${BEGIN.trim()} line`);
  return pem;
}
