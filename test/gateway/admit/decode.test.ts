import { describe, expect, test } from 'vitest';
import { decode } from '../../../src/gateway/admit/decode.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { encodeInferRequest } from '../../../src/wire/infer-request.ts';
import { DEFAULT_WIRE_LIMITS } from '../../../src/wire/limits.ts';
import { inferInput, inferRequest } from '../../support/infer-requests.ts';

function refusalOf(wire: Uint8Array, limits = DEFAULT_WIRE_LIMITS): InferError {
  try {
    decode(wire, limits);
  } catch (error) {
    if (error instanceof InferError) return error;
    throw error;
  }
  throw new Error('the bytes were accepted');
}

const REQUEST = inferRequest({
  id: '7',
  inputs: [inferInput('x', 'FP32', [1])],
  rawInputContents: [new Uint8Array(4)],
});
const WIRE = Buffer.concat(encodeInferRequest(REQUEST));

test('bytes of a request become that request', () => {
  expect(decode(WIRE, DEFAULT_WIRE_LIMITS)).toMatchObject({ modelName: 'm', id: '7' });
});

describe('bytes of none', () => {
  test('are a malformed message: INTERNAL, as gRPC has it', () => {
    const error = refusalOf(Uint8Array.of(0xff, 0xff, 0xff));
    expect(error.reason).toBe('malformed_message');
    expect(error.message).toContain('Unable to parse request: ModelInferRequest: ');
  });

  test('cut anywhere, they are refused, or a shorter request, and nothing else is thrown', () => {
    let refused = 0;
    for (let length = 0; length < WIRE.length; length++) {
      try {
        decode(WIRE.subarray(0, length), DEFAULT_WIRE_LIMITS);
      } catch (error) {
        expect(error).toBeInstanceOf(InferError);
        expect(error).toMatchObject({ reason: 'malformed_message' });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(WIRE.length / 2);
  });
});

test('a request over a limit exhausts a resource, and the text names the limit', () => {
  const error = refusalOf(WIRE, { ...DEFAULT_WIRE_LIMITS, maxInputs: 0 });
  expect(error.reason).toBe('limit_exceeded');
  expect(error.message).toBe(
    'ModelInferRequest: more than 0 inputs; the loaded models decide how much a message may hold',
  );
  expect(error.pushback).toBeUndefined();
});
