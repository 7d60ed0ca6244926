import fc from 'fast-check';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { decodeErrorDetails, encodeRichStatus } from '../../src/wire/error-details.ts';

/** The messages as googleapis declares them (google/rpc/status.proto, google/rpc/error_details.proto). */
const { root } = protobuf.parse(
  `
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Duration retry_delay = 1; }
  message BadRequest {
    message FieldViolation { string field = 1; string description = 2; string reason = 3; }
    repeated FieldViolation field_violations = 1;
  }
`,
  { keepCase: true },
);
const type = (name: string) => root.lookupType(`google.rpc.${name}`);

/** As another codec reads it: each detail by the last part of its type. */
function read(bytes: Uint8Array): Record<string, unknown> {
  const status = type('Status').decode(bytes).toJSON();
  const details = (status['details'] ?? []) as { type_url: string; value: string }[];
  return {
    code: status['code'],
    message: status['message'],
    ...Object.fromEntries(
      details.map(({ type_url, value }) => {
        const name = type_url.replace('type.googleapis.com/google.rpc.', '');
        return [name, type(name).decode(Buffer.from(value, 'base64')).toJSON()];
      }),
    ),
  };
}

test('a status has each detail in the form of googleapis', () => {
  const bytes = encodeRichStatus({
    code: 8,
    message: 'the queue is full',
    reason: 'queue_full',
    domain: 'tensorgate',
    metadata: { model: 'm' },
    retryDelayMs: 2_250.5,
    fieldViolations: [{ field: "inputs['x'].shape", description: 'größer' }],
  });
  expect(read(bytes)).toEqual({
    code: 8,
    message: 'the queue is full',
    ErrorInfo: { reason: 'queue_full', domain: 'tensorgate', metadata: { model: 'm' } },
    RetryInfo: { retry_delay: { seconds: '2', nanos: 250_500_000 } },
    BadRequest: { field_violations: [{ field: "inputs['x'].shape", description: 'größer' }] },
  });
  expect(read(encodeRichStatus({ code: 13, message: '', domain: 'tensorgate' }))).toEqual({
    code: 13,
    message: undefined,
  });
});

test('details are read as they were written', () => {
  const violation = fc.record({ field: fc.string(), description: fc.string({ unit: 'grapheme' }) });
  const details = fc.record({
    reason: fc.option(fc.string({ unit: 'grapheme' }), { nil: undefined }),
    retryDelayMs: fc.option(fc.integer({ min: 0, max: 2 ** 31 }), { nil: undefined }),
    fieldViolations: fc.array(violation, { maxLength: 3 }),
  });
  fc.assert(
    fc.property(details, (given) => {
      expect(decodeErrorDetails(encodeRichStatus({ code: 3, message: 'no', domain: 'd', ...given }))).toEqual(given);
    }),
  );
});

test('details of unknown types are skipped', () => {
  const other = type('Any').create({ type_url: 'type.googleapis.com/google.rpc.Help', value: Buffer.from('??') });
  const bytes = type('Status')
    .encode({ code: 3, message: 'no', details: [other] })
    .finish();
  expect(decodeErrorDetails(bytes)).toEqual({ reason: undefined, retryDelayMs: undefined, fieldViolations: [] });
});
