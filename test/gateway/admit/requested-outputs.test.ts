import { describe, expect, test } from 'vitest';
import { wantedOutputs } from '../../../src/gateway/admit/requested-outputs.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import type { InferParameter } from '../../../src/wire/infer-parameter.ts';
import type { RequestedOutput } from '../../../src/wire/infer-request.ts';
import type { Datatype } from '../../../src/wire/tensor.ts';
import { signatureOf, spec } from '../../support/infer-requests.ts';

const SIGNATURE = signatureOf([], {
  outputs: [spec('a', 'FP32', [-1, 4]), spec('b', 'INT64', [-1]), spec('c', 'BYTES', [-1])],
});

function requested(name: string, parameters: Readonly<Record<string, InferParameter>> = {}): RequestedOutput {
  return { name, parameters: new Map(Object.entries(parameters)) };
}

function wanted(...outputs: RequestedOutput[]): [string, number][] {
  return wantedOutputs(outputs, SIGNATURE, 'm').map(({ spec: { name }, classes }) => [name, classes]);
}

function classes(value: bigint): { classification: InferParameter } {
  return { classification: { kind: 'int64', value } };
}

describe('which outputs', () => {
  test('all, where none is named', () => {
    expect(wanted()).toEqual([
      ['a', 0],
      ['b', 0],
      ['c', 0],
    ]);
  });

  test("those that are named, in the model's order", () => {
    expect(wanted(requested('c'), requested('a'))).toEqual([
      ['a', 0],
      ['c', 0],
    ]);
  });

  test('each once, however often it is named', () => {
    expect(wanted(requested('b'), requested('b'), requested('b'))).toEqual([['b', 0]]);
  });

  test.each(['d', '', 'A', '__proto__'])("no other: '%s'", (name) => {
    expect(() => wanted(requested('a'), requested(name))).toThrow(
      new InferError(
        'invalid_request',
        `unexpected inference output '${name}' for model 'm', which gives ['a','b','c']`,
        { field: `outputs['${name}']` },
      ),
    );
  });

  test('none in shared memory', () => {
    expect(() => wanted(requested('a', { shared_memory_region: { kind: 'string', value: 'r' } }))).toThrow(
      expect.objectContaining({ reason: 'unimplemented' }),
    );
  });
});

describe('classification', () => {
  test.each([
    { value: 1n, expected: 1 },
    { value: 5n, expected: 5 },
    { value: 2n ** 62n, expected: 1_000_000 },
  ])('$value classes', ({ value, expected }) => {
    expect(wanted(requested('a', classes(value)))).toEqual([['a', expected]]);
  });

  test.each([0n, -1n])('%d classes are refused', (value) => {
    expect(() => wanted(requested('a', classes(value)))).toThrow("invalid value for 'classification' parameter");
  });

  test.each<InferParameter>([
    { kind: 'string', value: '5' },
    { kind: 'bool', value: true },
    { kind: 'uint64', value: 5n },
    { kind: 'double', value: 5 },
    { kind: 'none' },
  ])('a number of classes of kind $kind is refused', (classification) => {
    expect(() => wanted(requested('a', { classification }))).toThrow(
      new InferError('invalid_request', "invalid value type for 'classification' parameter, expected int64_param", {
        field: "outputs['a'].parameters['classification']",
      }),
    );
  });

  test.each<Datatype>(['BOOL', 'BYTES', 'FP16', 'BF16'])('an output of %s has no classes', (datatype) => {
    const signature = signatureOf([], { outputs: [spec('a', datatype, [-1, 4])] });
    expect(() => wantedOutputs([requested('a', classes(2n))], signature, 'm')).toThrow(
      new InferError(
        'invalid_request',
        `class result not available for output 'a' due to unsupported type '${datatype}'`,
        { field: "outputs['a'].parameters['classification']" },
      ),
    );
  });
});
