import { describe, expect, test } from 'vitest';
import { CompressError } from '../../src/compress/compress-error.ts';
import { formatTechnique, parseTechnique } from '../../src/compress/technique.ts';

describe('a technique', () => {
  test.each(['int8', 'fp16-weights', 'rank:64', 'rank:1', 'sparse:0.5', 'sparse:0.05'])('%s is one', (text) => {
    expect(formatTechnique(parseTechnique(text))).toBe(text);
  });

  test('may be written with space around it, and a share without its zero', () => {
    expect(parseTechnique(' sparse:.9 ')).toEqual({ kind: 'sparse', share: 0.9 });
  });

  test.each(['', 'int4', 'INT8', 'int8:1', 'fp16-weights:', 'rank:64:2', 'sparse:0.5:x'])('%s is none', (text) => {
    expect(() => parseTechnique(text)).toThrow(/is no technique: expected int8, fp16-weights, rank:N/);
  });

  test.each(['rank', 'rank:', 'rank:0', 'rank:-3', 'rank:1.5', 'rank:many'])('%s has no rank', (text) => {
    expect(() => parseTechnique(text)).toThrow(/expected rank:N with a whole number N of at least 1/);
  });

  test.each(['sparse', 'sparse:', 'sparse:0', 'sparse:1', 'sparse:1.5', 'sparse:50%', 'sparse:-0.5'])(
    '%s has no share',
    (text) => {
      expect(() => parseTechnique(text)).toThrow(/expected sparse:P with a share P above 0 and below 1/);
    },
  );

  test('that is none is a fault of the technique', () => {
    const error = (() => {
      try {
        return parseTechnique('int9');
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toBeInstanceOf(CompressError);
    expect(error).toHaveProperty('fault', 'technique');
  });
});
