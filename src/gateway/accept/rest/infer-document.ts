/** The JSON of an inference request, in which `data` of its tensors is only located: it may be nearly all of the body. */

import { emptyRecord, JsonReader, type JsonRecord } from '../../../wire/json-reader.ts';
import type { SliceSource } from '../slices.ts';

/** Bytes of JSON that are looked at between two looks at the clock: some 100 us. */
const STEP_BYTES = 64 * 1024;
/** Inputs or outputs that are read between two looks at the clock. */
const TENSORS_IN_A_STEP = 64;

/**
 * The document, with a `JsonSpan` for each array that is the `data` of an input or output.
 * @throws JsonError
 */
export async function readInferDocument(bytes: Buffer, slices: SliceSource): Promise<unknown> {
  const reader = new JsonReader(bytes);
  const document = reader.isAtObject ? await readRequest(reader, slices) : reader.value();
  reader.end();
  return document;
}

async function readRequest(reader: JsonReader, slices: SliceSource): Promise<JsonRecord> {
  const request = emptyRecord();
  for (const key of reader.keys()) {
    const isTensors = (key === 'inputs' || key === 'outputs') && reader.isAtArray;
    request[key] = isTensors ? await readTensors(reader, slices) : reader.value();
  }
  return request;
}

async function readTensors(reader: JsonReader, slices: SliceSource): Promise<unknown[]> {
  const tensors: unknown[] = [];
  for (const index of reader.items()) {
    tensors.push(reader.isAtObject ? await readTensor(reader, slices) : reader.value());
    if (index % TENSORS_IN_A_STEP === TENSORS_IN_A_STEP - 1 && slices.isOver) await slices.next();
  }
  return tensors;
}

async function readTensor(reader: JsonReader, slices: SliceSource): Promise<JsonRecord> {
  const tensor = emptyRecord();
  for (const key of reader.keys()) {
    if (key !== 'data' || !reader.isAtArray) {
      tensor[key] = reader.value();
      continue;
    }
    let span = reader.skip(STEP_BYTES);
    for (; span === undefined; span = reader.skip(STEP_BYTES)) if (slices.isOver) await slices.next();
    tensor[key] = span;
  }
  return tensor;
}
