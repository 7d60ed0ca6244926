/** The JSON of an inference request, in which `data` of each input is only located: it may be nearly all of the body. */

import { emptyRecord, JsonReader, type JsonRecord } from '../../../wire/json-reader.ts';
import type { Slices } from '../slices.ts';

/** Bytes of JSON that are looked at between two looks at the clock: some 100 us. */
const STEP_BYTES = 64 * 1024;

/**
 * The document, with a `JsonSpan` for each array that is the `data` of an input.
 * @throws JsonError
 */
export async function readInferDocument(bytes: Buffer, slices: Slices): Promise<unknown> {
  const reader = new JsonReader(bytes);
  const document = reader.isAtObject ? await readRequest(reader, slices) : reader.value();
  reader.end();
  return document;
}

async function readRequest(reader: JsonReader, slices: Slices): Promise<JsonRecord> {
  const request = emptyRecord();
  for (const key of reader.keys()) {
    request[key] = key === 'inputs' && reader.isAtArray ? await readInputs(reader, slices) : reader.value();
  }
  return request;
}

async function readInputs(reader: JsonReader, slices: Slices): Promise<unknown[]> {
  const inputs: unknown[] = [];
  for (const _ of reader.items()) {
    inputs.push(reader.isAtObject ? await readInput(reader, slices) : reader.value());
  }
  return inputs;
}

async function readInput(reader: JsonReader, slices: Slices): Promise<JsonRecord> {
  const input = emptyRecord();
  for (const key of reader.keys()) {
    if (key !== 'data' || !reader.isAtArray) {
      input[key] = reader.value();
      continue;
    }
    let span = reader.skip(STEP_BYTES);
    for (; span === undefined; span = reader.skip(STEP_BYTES)) if (slices.isOver) await slices.next();
    input[key] = span;
  }
  return input;
}
