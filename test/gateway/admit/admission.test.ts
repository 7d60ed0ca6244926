import { describe, expect, test } from 'vitest';
import { Admission, footprint } from '../../../src/gateway/admit/admission.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { inferInput, inferRequest, rawRequest, typedContents } from '../../support/infer-requests.ts';

describe('the byte budget', () => {
  test('is given out to the last byte, and one more is shed with a time after which to retry', () => {
    const admission = new Admission(100);
    admission.tryAcquire(60);
    admission.tryAcquire(40);
    expect([admission.bytes, admission.requests]).toEqual([100, 2]);
    try {
      admission.tryAcquire(1);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InferError);
      expect(error).toMatchObject({ reason: 'queue_full' });
      expect((error as InferError).message).toBe(
        'the server holds 100 of 100 bytes (maxInFlightBytes): 1 more of this request do not fit',
      );
      expect((error as InferError).pushback).toBeGreaterThanOrEqual(50);
    }
    expect([admission.bytes, admission.requests]).toEqual([100, 2]);
  });

  test('comes back when the permit is disposed of, once', () => {
    const admission = new Admission(100);
    {
      using permit = admission.tryAcquire(70);
      permit[Symbol.dispose]();
      admission.tryAcquire(100);
    }
    expect([admission.bytes, admission.requests]).toEqual([100, 1]);
  });

  test('is given back when its holder throws', () => {
    const admission = new Admission(100);
    expect(() => {
      using _permit = admission.tryAcquire(70);
      throw new Error('failed');
    }).toThrow('failed');
    expect([admission.bytes, admission.requests]).toEqual([0, 0]);
  });
});

test('answers that no one reads take of the same budget, and are no requests', () => {
  const admission = new Admission(100);
  const held = admission.tryHold(90);
  expect([admission.bytes, admission.requests]).toEqual([90, 0]);
  expect(() => admission.tryHold(11)).toThrow('11 more of an answer that is not read do not fit');
  expect(() => admission.tryAcquire(11)).toThrow('11 more of this request do not fit');
  held[Symbol.dispose]();
  expect([admission.bytes, admission.requests]).toEqual([0, 0]);
});

describe('the bytes that a request holds', () => {
  test('are the bytes of its message when its contents are raw: they are never copied', () => {
    expect(footprint(100, rawRequest('FP32', [4], new Uint8Array(16)))).toBe(100);
  });

  test('are also those that its typed contents grow to', () => {
    const contents = typedContents('INT64', new Uint8Array(80), 10);
    const inputs = [inferInput('a', 'INT64', [10], { contents }), inferInput('b', 'BYTES', [10], { contents })];
    expect(footprint(100, inferRequest({ inputs }))).toBe(100 + 80 + 12 + 6 * 64);
  });

  test('do not count an unknown datatype: the request is refused before it grows', () => {
    const contents = typedContents('INT64', new Uint8Array(80), 10);
    expect(footprint(100, inferRequest({ inputs: [inferInput('a', 'toString', [10], { contents })] }))).toBe(100);
  });
});
