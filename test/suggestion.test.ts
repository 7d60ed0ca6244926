import { expect, test } from 'vitest';
import { suggestion } from '../src/suggestion.ts';

test.each([
  ['cifar1', ['cifar10', 'ocr'], "; did you mean 'cifar10'?"],
  ['grpc_prot', ['grpcPort', 'httpPort'], "; did you mean 'grpcPort'?"],
  ['ab', ['a', 'zz'], "; did you mean 'a'?"],
  ['x', ['m', 'n'], '; known are m, n'],
  ['xy', ['mn'], '; known are mn'],
  ['anything', [], ''],
  ['a'.repeat(10_000), ['a'.repeat(9_999)], `; known are ${'a'.repeat(9_999)}`],
])('%.20s among %j is answered with %.40s', (key, known, text) => {
  expect(suggestion(key, known)).toBe(text);
});
