import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LandingMessage } from '../../../../src/gateway/accept/grpc/landing-message.ts';
import { Landing } from '../../../../src/gateway/landing/landing.ts';
import { MAILBOX_DIRECTORY } from '../../../../src/mailbox-directory.ts';
import { decodeInferRequest, encodeInferRequest } from '../../../../src/wire/infer-request.ts';
import { DEFAULT_WIRE_LIMITS, WireError } from '../../../../src/wire/limits.ts';
import { bytesOf, isLanded } from '../../../../src/wire/tensor-bytes.ts';
import { inferInput, inferRequest } from '../../../support/infer-requests.ts';

const LANDED = 20_000;

function landingOf(): Landing {
  const landing = Landing.open(MAILBOX_DIRECTORY);
  if (landing === undefined) throw new Error('no file without a name');
  onTestFinished(() => landing.close());
  return landing;
}

/** The message, as it comes in pieces of these lengths. */
function taken(landing: Landing, message: Buffer, cuts: readonly number[]): LandingMessage {
  const landed = new LandingMessage(landing, message.length);
  for (let at = 0, index = 0; at < message.length; index++) {
    const length = Math.min(cuts[index % cuts.length] ?? 1, message.length - at);
    const chunk = Buffer.concat([Buffer.alloc(3, 0xff), message.subarray(at, at + length), Buffer.alloc(2, 0xff)]);
    landed.append(chunk, 3, 3 + length);
    at += length;
  }
  expect(landed.missingBytes).toBe(0);
  return landed;
}

/** What decoding gives; of a refusal only its kind, because its text names the byte. */
function attempt(decode: () => ReturnType<typeof decodeInferRequest>) {
  try {
    const { rawInputContents, ...rest } = decode();
    return { ...rest, raw: rawInputContents.map((raw) => Buffer.from(bytesOf(raw)).toString('base64')) };
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return error.kind;
  }
}

/** HEAD-1 */
function expectSame(landing: Landing, message: Buffer, cuts: readonly number[]): void {
  const landed = taken(landing, message, cuts);
  const tensors = landed.tensors.map(bytesOf);
  expect(attempt(() => decodeInferRequest(landed.head, DEFAULT_WIRE_LIMITS, tensors))).toEqual(
    attempt(() => decodeInferRequest(message, DEFAULT_WIRE_LIMITS)),
  );
  landed.release();
  expect(landing.size).toBe(0);
}

const cuts = fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 5 });
const tensors = fc.array(
  fc.tuple(fc.constantFrom(0, 1, 100, LANDED, 40_000), fc.nat(255)).map(([bytes, fill]) => Buffer.alloc(bytes, fill)),
  { maxLength: 5 },
);
const requests = fc.tuple(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }), tensors).map(([id, name, raw]) =>
  inferRequest({
    id,
    modelName: name,
    inputs: raw.map((bytes, index) => inferInput(`input ${index}`, 'UINT8', [bytes.length])),
    rawInputContents: raw,
  }),
);
const fields = (message: Uint8Array[]): Buffer => Buffer.concat(message);

/** One field as protobuf writes it, and as it may be written. */
const oddFields = fc.oneof(
  fc.constant(Buffer.from([0x3a, 0])),
  fc.constant(Buffer.from([0xba, 0, 2, 1, 2])),
  fc.constant(Buffer.from([0x38, 5])),
  fc.constant(Buffer.from([0x3a, 0x83, 0, 1, 2, 3])),
  fc.constant(Buffer.from([0x3a, 0xff, 0xff, 0x03])),
  fc.constant(Buffer.from([0x7b, 0x3a, 1, 9, 0x7c])),
  fc.constant(Buffer.from([0x79, 1, 2, 3, 4, 5, 6, 7, 8])),
  fc.constant(Buffer.from([0x7d, 1, 2, 3, 4])),
  fc.constant(Buffer.from([0x78, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])),
  fc.constant(Buffer.from([0, 0])),
  fc.constant(Buffer.from([0x0f])),
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  fc
    .integer({ min: 0, max: 70_000 })
    .map((bytes) =>
      fields(encodeInferRequest(inferRequest({ modelName: '', rawInputContents: [Buffer.alloc(bytes, 3)] }))),
    ),
  requests.map((request) => fields(encodeInferRequest(request))),
);

describe('HEAD-1: a message that is taken apart as it comes', () => {
  test('is decoded as the whole message is, however it is cut', () => {
    const landing = landingOf();
    fc.assert(
      fc.property(requests, cuts, (request, lengths) =>
        expectSame(landing, fields(encodeInferRequest(request)), lengths),
      ),
    );
  });

  test('is accepted or refused as the whole message is, whatever its fields are and in whatever order', () => {
    const landing = landingOf();
    fc.assert(
      fc.property(fc.array(oddFields, { maxLength: 8 }), cuts, (parts, lengths) =>
        expectSame(landing, Buffer.concat(parts), lengths),
      ),
      { numRuns: 400 },
    );
  });

  test('is accepted or refused as the whole message is when it breaks off', () => {
    const landing = landingOf();
    fc.assert(
      fc.property(requests, cuts, fc.nat(), (request, lengths, at) => {
        const message = fields(encodeInferRequest(request));
        expectSame(landing, message.subarray(0, at % (message.length + 1)), lengths);
      }),
    );
  });

  test.each([64, 65, 70])('counts %i tensors against the limit as the whole message does', (count) => {
    const rawInputContents = Array.from({ length: count }, () => Buffer.alloc(LANDED, 1));
    expectSame(landingOf(), fields(encodeInferRequest(inferRequest({ rawInputContents }))), [16_384]);
  });

  test('has only its large tensors in files, and none of them in its head', () => {
    const landing = landingOf();
    const rawInputContents = [Buffer.alloc(10, 1), Buffer.alloc(100_000, 2), Buffer.alloc(50_000, 3)];
    const landed = taken(landing, fields(encodeInferRequest(inferRequest({ rawInputContents }))), [16_384]);
    expect(landed.tensors.map(isLanded)).toEqual([false, true, true]);
    expect([landing.size, landed.head.length < 200]).toEqual([2, true]);
    landed.release();
    expect(landing.size).toBe(0);
  });
});
