/** The bytes of an image file, as clients send them: the file itself, its Base64, or a data URI, which JSON can hold. */

import { refused } from './step.ts';

export type ImageFormat = 'JPEG' | 'PNG' | 'WebP';

export interface ImageFile {
  readonly format: ImageFormat;
  readonly bytes: Buffer;
}

const DATA_URI = /^data:[\w.+/-]*(;[\w=.+-]+)*;base64,/i;
const LONGEST_URI_HEAD = 100;
const BASE64 = /^[A-Za-z0-9+/_=-]+$/;
/** Bytes that a format begins with, in hexadecimal digits. */
const SIGNATURES: readonly (readonly [ImageFormat, RegExp])[] = [
  ['JPEG', /^ffd8ff/],
  ['PNG', /^89504e470d0a1a0a/],
  // RIFF, a length, WEBP.
  ['WebP', /^52494646.{8}57454250/],
];
const LONGEST_SIGNATURE = 12;
/** Base64 of the first bytes: no format begins with such letters. */
const BASE64_HEAD = 16;

/**
 * @param where such as `element 0 of input 'image'`
 * @throws RunFailure where it is no image of a known format
 */
export function imageFileOf(sent: Uint8Array, where: string): ImageFile {
  const bytes = Buffer.from(sent.buffer, sent.byteOffset, sent.byteLength);
  const own = formatOf(bytes);
  if (own !== undefined) return { format: own, bytes };
  const text = base64In(bytes);
  const decoded = text === undefined ? undefined : Buffer.from(text, 'base64');
  const format = decoded && formatOf(decoded);
  if (decoded !== undefined && format !== undefined) return { format, bytes: decoded };
  const start = bytes.subarray(0, LONGEST_SIGNATURE);
  const got = bytes.length === 0 ? 'it is empty' : `it begins with ${JSON.stringify(start.toString('latin1'))}`;
  throw refused(`${where} is no image: expected a JPEG, PNG or WebP file, its Base64, or a data URI; ${got}`);
}

function formatOf(bytes: Buffer): ImageFormat | undefined {
  const start = bytes.toString('hex', 0, LONGEST_SIGNATURE);
  return SIGNATURES.find(([, signature]) => signature.test(start))?.[0];
}

function base64In(bytes: Buffer): string | undefined {
  const head = DATA_URI.exec(bytes.toString('latin1', 0, LONGEST_URI_HEAD))?.[0];
  if (head !== undefined) return bytes.toString('latin1', head.length);
  return BASE64.test(bytes.toString('latin1', 0, BASE64_HEAD)) ? bytes.toString('latin1') : undefined;
}
