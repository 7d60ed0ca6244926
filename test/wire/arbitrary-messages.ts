import fc from 'fast-check';

import type { InferParameter, InferParameters } from '../../src/wire/infer-parameter.ts';
import type { InferRequest } from '../../src/wire/infer-request.ts';

/** Any text that fits a name: 24 code points are at most 96 bytes. */
export const text = fc.string({ unit: 'binary', maxLength: 24 });

const parameter: fc.Arbitrary<InferParameter> = fc.oneof(
  fc.record({ kind: fc.constant('bool' as const), value: fc.boolean() }),
  fc.record({ kind: fc.constant('int64' as const), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
  fc.record({ kind: fc.constant('string' as const), value: text }),
  fc.record({ kind: fc.constant('double' as const), value: fc.double({ noNaN: true }) }),
  fc.record({ kind: fc.constant('uint64' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
  fc.constant({ kind: 'none' as const }),
);

/** protobufjs keeps maps as objects, which cannot hold this key; our own tests of it do not need a reference. */
const key = text.filter((value) => value !== '__proto__');

export const parameters: fc.Arbitrary<InferParameters> = fc
  .uniqueArray(fc.tuple(key, parameter), { maxLength: 3, selector: ([name]) => name })
  // protobufjs writes the entries of an object, which puts keys that look like indices first.
  .map((entries) => new Map(Object.entries(Object.fromEntries(entries))));

export const bytes = fc.uint8Array({ maxLength: 300 });

export const shape = fc.array(fc.oneof(fc.integer({ min: -1, max: 1000 }), fc.maxSafeInteger()), { maxLength: 6 });

export const inferRequest: fc.Arbitrary<InferRequest> = fc.record({
  modelName: text,
  modelVersion: text,
  id: text,
  parameters,
  inputs: fc.array(
    fc.record({
      name: text,
      datatype: text,
      shape,
      parameters,
      contents: fc.constantFrom(undefined, new Uint8Array(0)),
    }),
    { maxLength: 4 },
  ),
  outputs: fc.array(fc.record({ name: text, parameters }), { maxLength: 4 }),
  rawInputContents: fc.array(bytes, { maxLength: 4 }),
});
