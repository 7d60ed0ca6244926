import { describe, expect, test } from 'vitest';
import { Admission } from '../../../src/gateway/admit/admission.ts';
import { InferError } from '../../../src/gateway/errors.ts';

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
        'the server holds 100 of 100 bytes of requests (max_in_flight_bytes): 1 more do not fit',
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

  test('comes back when the one who holds it throws', () => {
    const admission = new Admission(100);
    expect(() => {
      using _permit = admission.tryAcquire(70);
      throw new Error('failed');
    }).toThrow('failed');
    expect([admission.bytes, admission.requests]).toEqual([0, 0]);
  });
});
