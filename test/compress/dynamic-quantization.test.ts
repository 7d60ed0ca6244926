import { expect, test } from 'vitest';
import { compress } from '../../src/compress/compress.ts';
import { quantizesDynamically } from '../../src/compress/dynamic-quantization.ts';
import { decodeOnnxModel } from '../../src/compress/onnx/model-file.ts';
import { dynamicallyQuantizedModel } from '../support/onnx-models.ts';

test('a model that is quantized dynamically is not made int8, and its user is asked for the export in float32', () => {
  const model = decodeOnnxModel(dynamicallyQuantizedModel(), 'test');
  expect(() => compress(model, { kind: 'int8' }, new Map())).toThrow(
    'int8: the model has its integers already, but it is quantized dynamically, with one scale for a whole batch: take its export in float32, and quantize that: npx tensorgate compress --to int8',
  );
});

test.each([
  ['DynamicQuantizeLinear', true],
  ['com.microsoft.DynamicQuantizeMatMul', true],
  ['QuantizeLinear', false],
  ['com.microsoft.QGemm', false],
])('%s quantizes dynamically: %s', (opType, expected) => {
  expect(quantizesDynamically(opType)).toBe(expected);
});
