/** The body of a load over REST. Its files are texts of Base64, which may be as long as a message: they are read in slices. */

import { Byte, type JsonSpan } from '../../../wire/json-bytes.ts';
import { emptyRecord, JsonReader, type JsonRecord } from '../../../wire/json-reader.ts';
import { MAX_REQUEST_BYTES_WITHOUT_FILES } from '../../../wire/repository-request.ts';
import { SLICES, type Slices } from '../slices.ts';
import { type JsonObject, objectOf, refusalOf } from './json-field.ts';

/** Files do not count. A configuration is a text within JSON: each of its quotes has a backslash there. */
const LIMITS = { maxBytes: 2 * MAX_REQUEST_BYTES_WITHOUT_FILES, maxValues: 2_048 };
/** Bytes of a text that are decoded at a time. */
const PIECE_BYTES = 256 * 1024;

/** The object that the body is; values of `parameters` whose keys begin with `file:` are bytes. @throws InferError */
export async function readLoadBody(body: Buffer, slices: Slices = SLICES): Promise<JsonObject> {
  if (body.byteLength === 0) return {};
  try {
    const reader = new JsonReader(body, LIMITS);
    const request = await readFields(reader, async (key) => {
      return key === 'parameters'
        ? readFields(reader, (name) => readParameter(name, reader, body, slices))
        : reader.value();
    });
    reader.end();
    return objectOf(request, 'the request');
  } catch (error) {
    throw refusalOf(error);
  }
}

/** The next value: an object is read field by field, and anything else as it is. */
async function readFields(reader: JsonReader, readField: (key: string) => Promise<unknown>): Promise<unknown> {
  if (!reader.isAtObject) return reader.value();
  const fields: JsonRecord = emptyRecord();
  for (const key of reader.keys()) fields[key] = await readField(key);
  return fields;
}

async function readParameter(name: string, reader: JsonReader, body: Buffer, slices: Slices): Promise<unknown> {
  if (!name.startsWith('file:') || !reader.isAtString) return reader.value();
  return decodeBase64(body, reader.skipText(), slices);
}

/** Line breaks, and slashes behind a backslash, as some encoders write them. */
const OTHER_CHARACTERS = /\\[rn]|[^A-Za-z0-9+/=_-]/g;
const HAS_OTHER_CHARACTERS = /[^A-Za-z0-9+/=_-]/;

async function decodeBase64(body: Buffer, { start, end }: JsonSpan, slices: Slices): Promise<Uint8Array> {
  // The quotes are not of the text.
  const last = end - 1;
  const decoded = Buffer.allocUnsafeSlow(Math.ceil(((last - start) * 3) / 4));
  let length = 0;
  let rest = '';
  for (let at = start + 1; at < last; ) {
    if (slices.isOver) await slices.next();
    let to = Math.min(last, at + PIECE_BYTES);
    // An escape stays whole.
    if (body[to - 1] === Byte.BACKSLASH) to += 1;
    const piece = body.toString('latin1', at, to);
    const text = rest + (HAS_OTHER_CHARACTERS.test(piece) ? piece.replace(OTHER_CHARACTERS, '') : piece);
    // Four characters are three bytes.
    const whole = to >= last ? text.length : text.length - (text.length % 4);
    length += decoded.write(text.slice(0, whole), length, 'base64');
    rest = text.slice(whole);
    at = to;
  }
  return decoded.subarray(0, length);
}
