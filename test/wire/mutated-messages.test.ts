import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BytesTensorError, decodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { NO_PARAMETERS } from '../../src/wire/infer-parameter.ts';
import { encodeInferRequest, type InferRequest } from '../../src/wire/infer-request.ts';
import {
  decodeInferResponse,
  decodeStreamResponse,
  encodeInferResponse,
  encodeStreamResponse,
} from '../../src/wire/infer-response.ts';
import { DEFAULT_WIRE_LIMITS, WireError } from '../../src/wire/limits.ts';
import { DATATYPE_BYTES, type Datatype } from '../../src/wire/tensor.ts';
import { TypedContentsError, typedToRaw } from '../../src/wire/typed-contents.ts';
import { inferRequest } from './arbitrary-messages.ts';
import {
  decodeReference,
  encodeReference,
  fromLong,
  fromReferenceParameters,
  type Plain,
} from './reference-messages.ts';
import { countElements, decodeWhole } from './whole-request.ts';

const CASES = 40_000;
const SEED = 20_261_123;

describe('mutated messages', () => {
  test(`are refused or decoded as protobufjs decodes them: ${CASES} requests`, () => {
    const random = randomIntegers(SEED);
    const corpus = requestCorpus();
    let accepted = 0;
    let compared = 0;
    for (let i = 0; i < CASES; i += 1) {
      const message = mutate(pick(corpus, random), corpus, random);
      const request = attempt(() => decodeWhole(message, DEFAULT_WIRE_LIMITS));
      if (request === undefined) continue;
      accepted += 1;
      for (const { contents, datatype } of request.inputs) {
        if (contents !== undefined) attempt(() => typedToRaw(contents, anyDatatype(datatype, random), random(4)));
      }
      for (const raw of request.rawInputContents) attempt(() => decodeBytesTensor(raw, 1));
      // Where it expects 32 bits, protobufjs takes a varint of 6 to 9 bytes for one of 10.
      if (hasLongVarint(message)) continue;
      compared += 1;
      expect(summary(request), Buffer.from(message).toString('hex')).toEqual(referenceSummary(message));
    }
    // Both outcomes are common, or the mutations were too strong or too weak to say anything.
    expect(compared).toBeGreaterThan(CASES / 20);
    expect(accepted).toBeLessThan(CASES / 1.2);
  });

  test(`are refused or decoded: ${CASES} answers and stream messages`, () => {
    const random = randomIntegers(SEED + 1);
    const corpus = responseCorpus();
    let accepted = 0;
    for (let i = 0; i < CASES; i += 1) {
      const message = mutate(pick(corpus, random), corpus, random);
      const answer = attempt(() => decodeInferResponse(message, DEFAULT_WIRE_LIMITS));
      const streamed = attempt(() => decodeStreamResponse(message, DEFAULT_WIRE_LIMITS));
      if (answer !== undefined || streamed !== undefined) accepted += 1;
    }
    expect(accepted).toBeGreaterThan(CASES / 20);
    expect(accepted).toBeLessThan(CASES / 1.2);
  });
});

/** What `run` returns, or `undefined` where it throws an error that it may throw. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    const isExpected =
      error instanceof WireError || error instanceof TypedContentsError || error instanceof BytesTensorError;
    if (!isExpected) throw error;
    return undefined;
  }
}

/** xorshift32: any generator will do that repeats its failures. */
function randomIntegers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function pick<T>(from: readonly T[], random: (below: number) => number): T {
  return from[random(from.length)] ?? expect.unreachable();
}

const VARINTS = ['00', '01', '7f', '8001', 'ff7f', 'ffffffff07', '80808080808080808001', 'ffffffffffffffffffff01'].map(
  (hex) => Buffer.from(hex, 'hex'),
);

/** Seldom more than one small change at a random place: of two, one is mostly refused before the other is seen. */
function mutate(original: Uint8Array, corpus: readonly Uint8Array[], random: (below: number) => number): Uint8Array {
  let message = Buffer.from(original);
  for (let changes = random(4) === 0 ? 3 : 1; changes > 0; changes -= 1) {
    const at = random(message.length + 1);
    const end = at + random(message.length + 1 - at);
    const before = message.subarray(0, at);
    const kind = random(9);
    if (kind < 2 && at < message.length) message[at] = (message[at] ?? 0) ^ (1 << random(8));
    else if (kind === 2 && at < message.length) message[at] = random(256);
    else if (kind === 3) message = Buffer.from(before);
    else if (kind === 4) message = Buffer.concat([before, message.subarray(end)]);
    else if (kind === 5) message = Buffer.concat([message, message.subarray(at, end)]);
    else if (kind === 6) message = Buffer.concat([before, pick(VARINTS, random), message.subarray(at)]);
    else if (kind === 7) message = Buffer.concat([pick(corpus, random), message]);
    else {
      const other = pick(corpus, random);
      message = Buffer.concat([before, other.subarray(random(other.length + 1))]);
    }
  }
  return message;
}

function hasLongVarint(message: Uint8Array): boolean {
  let run = 0;
  for (const byte of message) {
    run = byte < 0x80 ? 0 : run + 1;
    if (run === 5) return true;
  }
  return false;
}

function anyDatatype(datatype: string, random: (below: number) => number): Datatype {
  const datatypes = Object.keys(DATATYPE_BYTES) as Datatype[];
  return datatypes.find((known) => known === datatype) ?? pick(datatypes, random);
}

function requestCorpus(): Uint8Array[] {
  const arbitrary = fc
    .sample(inferRequest, { numRuns: 8, seed: SEED })
    .map((request) => Buffer.concat(encodeInferRequest(request)));
  const contents = [
    { boolContents: [true, false] },
    { intContents: [-1, 5, 300] },
    { int64Contents: [1, -2] },
    { uintContents: [1, 2 ** 32 - 1] },
    { uint64Contents: [3] },
    { fp32Contents: [1, 2, 3] },
    { fp64Contents: [1] },
    { bytesContents: [Buffer.from('abc'), Buffer.alloc(0)] },
  ].flatMap((fields) =>
    (['InferTensorContents', 'UnpackedTensorContents'] as const).map((name) => encodeReference(name, fields)),
  );
  const typed = contents.map((bytes) =>
    Buffer.concat(
      encodeInferRequest({
        modelName: 'add',
        modelVersion: '1',
        id: 'r',
        parameters: new Map([['priority', { kind: 'uint64', value: 3n }]]),
        inputs: [
          {
            name: 'A',
            datatype: 'INT32',
            shape: [1, 2],
            parameters: new Map(),
            contents: bytes,
          },
        ],
        outputs: [{ name: 'C', parameters: new Map() }],
        rawInputContents: [],
      }),
    ),
  );
  return [...arbitrary, ...typed].filter((message) => message.length > 0);
}

function responseCorpus(): Uint8Array[] {
  return (['raw', 'typed'] as const).flatMap((form) => {
    const answer = encodeInferResponse(
      {
        modelName: 'add',
        modelVersion: '1',
        id: 'r',
        parameters: new Map([['triton_final_response', { kind: 'bool', value: true }]]),
        outputs: [
          { name: 'f', datatype: 'FP32', shape: [2], data: new Uint8Array(8) },
          { name: 'i', datatype: 'INT16', shape: [2, 1], data: Uint8Array.of(1, 2, 0xff, 0xff) },
          { name: 's', datatype: 'BYTES', shape: [1], data: Uint8Array.of(1, 0, 0, 0, 97) },
        ],
      },
      form,
    );
    return [
      answer,
      encodeStreamResponse({ response: answer }),
      encodeStreamResponse({ errorMessage: 'no', id: 'r', parameters: NO_PARAMETERS }),
    ].map((chunks) => Buffer.concat(chunks));
  });
}

/** All of a request that protobufjs can be asked for too, in a form to be compared. */
function summary(request: InferRequest): unknown {
  return {
    texts: [request.modelName, request.modelVersion, request.id],
    parameters: request.parameters,
    inputs: request.inputs.map(({ name, datatype, shape, parameters, contents }) => ({
      texts: [name, datatype],
      shape,
      parameters,
      elements: contents && countElements(contents),
    })),
    outputs: request.outputs,
    raw: request.rawInputContents.map((raw) => Buffer.from(raw).toString('hex')),
  };
}

function referenceSummary(bytes: Uint8Array): unknown {
  const message = decodeReference('ModelInferRequest', bytes);
  return {
    texts: [message['modelName'], message['modelVersion'], message['id']],
    parameters: fromReferenceParameters(message['parameters']),
    inputs: (message['inputs'] as Plain[]).map((input) => ({
      texts: [input['name'], input['datatype']],
      shape: (input['shape'] as unknown[]).map((size) => Number(fromLong(size))),
      parameters: fromReferenceParameters(input['parameters']),
      elements: countReferenceElements(input['contents'] as Plain | null),
    })),
    outputs: (message['outputs'] as Plain[]).map((output) => ({
      name: output['name'],
      parameters: fromReferenceParameters(output['parameters']),
    })),
    raw: (message['rawInputContents'] as Uint8Array[]).map((raw) => Buffer.from(raw).toString('hex')),
  };
}

function countReferenceElements(contents: Plain | null): number | undefined {
  if (contents === null) return undefined;
  return Object.entries(contents).reduce((sum, [, values]) => sum + (Array.isArray(values) ? values.length : 0), 0);
}
