import { describe, expect, test } from 'vitest';
import { readTerms, refuseSharedMemory } from '../../../src/gateway/admit/request-parameters.ts';
import { NO_TERMS } from '../../../src/gateway/admit/request-terms.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import type { InferParameter } from '../../../src/wire/infer-parameter.ts';
import { parameters } from '../../support/infer-requests.ts';

const BOOL: InferParameter = { kind: 'bool', value: true };
const INT64: InferParameter = { kind: 'int64', value: 5n };
const STRING: InferParameter = { kind: 'string', value: 'x' };
const DOUBLE: InferParameter = { kind: 'double', value: 0.5 };
const UINT64: InferParameter = { kind: 'uint64', value: 5n };
const NONE: InferParameter = { kind: 'none' };
const ALL = [BOOL, INT64, STRING, DOUBLE, UINT64, NONE];

describe('reserved parameters', () => {
  const rules = [
    { key: 'timeout', allowed: ['int64'], expected: 'int64_param' },
    { key: 'priority', allowed: ['int64', 'uint64'], expected: 'int64_param or uint64_param' },
    { key: 'sequence_id', allowed: ['int64', 'string'], expected: 'int64_param or string_param' },
    { key: 'sequence_start', allowed: ['bool'], expected: 'bool_param' },
    { key: 'sequence_end', allowed: ['bool'], expected: 'bool_param' },
    { key: 'triton_enable_empty_final_response', allowed: ['bool'], expected: 'bool_param' },
  ];
  const cases = rules.flatMap((rule) => ALL.map((parameter) => ({ ...rule, parameter, kind: parameter.kind })));

  test.each(cases)('$key as $kind, where $allowed is allowed', ({ key, allowed, expected, parameter }) => {
    const check = (): unknown => readTerms(new Map([[key, parameter]]));
    if (allowed.includes(parameter.kind)) expect(check).not.toThrow();
    else
      expect(check).toThrow(
        new InferError('invalid_request', `invalid value type for '${key}' parameter, expected ${expected}.`, {
          field: `parameters['${key}']`,
        }),
      );
  });

  test('other keys that begin with triton_ are refused', () => {
    expect(() => readTerms(new Map([['triton_final_response', BOOL]]))).toThrow(
      "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: triton_enable_empty_final_response",
    );
  });
});

describe("a caller's own parameters", () => {
  test.each(ALL)('may be of any kind: $kind', (parameter) => {
    expect(readTerms(new Map([['mine', parameter]]))).toEqual(NO_TERMS);
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', ''])("may be named '%s'", (key) => {
    expect(readTerms(new Map([[key, STRING]]))).toEqual(NO_TERMS);
    expect(Object.hasOwn(Object.prototype, 'value')).toBe(false);
  });
});

describe("the caller's timeout", () => {
  test.each([
    { value: 1_500n, timeoutMs: 1.5 },
    { value: 2_000_000n, timeoutMs: 2_000 },
    { value: 1n, timeoutMs: 0.001 },
    { value: 2n ** 63n - 1n, timeoutMs: Number(2n ** 63n - 1n) / 1_000 },
    { value: 0n, timeoutMs: undefined },
    { value: -5n, timeoutMs: undefined },
  ])('$value microseconds are $timeoutMs ms', ({ value, timeoutMs }) => {
    expect(readTerms(parameters({ timeout: { kind: 'int64', value } })).timeoutMs).toBe(timeoutMs);
  });
});

describe('priority', () => {
  test('is a level, 0 where none is named', () => {
    expect(readTerms(parameters({ priority: { kind: 'uint64', value: 3n } })).priority).toBe(3);
    expect(readTerms(parameters({ priority: { kind: 'int64', value: 2n } })).priority).toBe(2);
    expect(readTerms(parameters({ mine: STRING })).priority).toBe(0);
  });

  test('is not negative', () => {
    expect(() => readTerms(parameters({ priority: { kind: 'int64', value: -1n } }))).toThrow(
      new InferError('invalid_request', "invalid value for 'priority', expected value >= 0.", {
        field: "parameters['priority']",
      }),
    );
  });
});

describe('a sequence', () => {
  const flags = { sequence_start: BOOL, sequence_end: { kind: 'bool', value: false } } as const;

  test('has a number or a text for its id', () => {
    expect(readTerms(parameters({ sequence_id: { kind: 'int64', value: 5n }, ...flags })).sequence).toEqual({
      id: 5n,
      start: BOOL.value,
      end: false,
    });
    expect(readTerms(parameters({ sequence_id: { kind: 'string', value: 'a' } })).sequence).toEqual({
      id: 'a',
      start: false,
      end: false,
    });
  });

  test.each([{ kind: 'int64', value: 0n } as const, { kind: 'string', value: '' } as const])(
    'is none with the id $value',
    (id) => {
      expect(readTerms(parameters({ sequence_id: id, ...flags })).sequence).toBeUndefined();
    },
  );
});

describe('shared memory', () => {
  test.each(['shared_memory_region', 'shared_memory_byte_size', 'shared_memory_offset'])('%s is refused', (key) => {
    expect(() => refuseSharedMemory('t', new Map([[key, INT64]]))).toThrow(
      new InferError('unimplemented', `'${key}' of tensor 't': shared memory is not offered; send the contents`),
    );
  });

  test('other parameters of a tensor are not looked at', () => {
    expect(() => refuseSharedMemory('t', new Map([['binary_data_size', INT64]]))).not.toThrow();
  });
});
