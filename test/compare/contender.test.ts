import { describe, expect, test } from 'vitest';
import { checkSameInterface, MismatchError } from '../../src/compare/contender.ts';
import type { SessionInfo, SessionTensor } from '../../src/worker/protocol.ts';

const tensor = (name: string, datatype = 'FP32', shape: readonly (number | string)[] = ['batch', 4]) =>
  ({ name, datatype, shape }) as unknown as SessionTensor;

const info = (inputs: readonly SessionTensor[], outputs: readonly SessionTensor[]) =>
  ({ inputs, outputs }) as unknown as SessionInfo;

const BASE = info([tensor('x')], [tensor('y')]);

describe('a candidate that clients could not use in the place of the base is refused:', () => {
  test.each<[string, SessionInfo, RegExp]>([
    ['another name', info([tensor('z')], [tensor('y')]), /f\.onnx: the base has the input 'x'.*has 'z'/],
    ['another datatype', info([tensor('x', 'FP16')], [tensor('y')]), /'x' FP32 .*'x' FP16/],
    ['another shape', info([tensor('x', 'FP32', ['batch', 5])], [tensor('y')]), /\[batch,4\].*\[batch,5\]/],
    ['one more input', info([tensor('x'), tensor('mask')], [tensor('y')]), /takes the input 'mask'/],
    ['no such output', info([tensor('x')], [tensor('logits')]), /the output 'y'/],
  ])('%s', (_, candidate, text) => {
    expect(() => checkSameInterface(BASE, candidate, 'f.onnx')).toThrow(MismatchError);
    expect(() => checkSameInterface(BASE, candidate, 'f.onnx')).toThrow(text);
  });

  test('another order of tensors, or an output more, is no difference', () => {
    const base = info([tensor('a'), tensor('b')], [tensor('y')]);
    const candidate = info([tensor('b'), tensor('a')], [tensor('debug'), tensor('y')]);
    expect(() => checkSameInterface(base, candidate, 'f.onnx')).not.toThrow();
  });
});
