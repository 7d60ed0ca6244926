import { expect, test } from 'vitest';
import { DATATYPE_BYTES, isDatatype } from '../../src/wire/tensor.ts';
import { datatypeOf, elementTypeOf, TYPED_ARRAYS } from '../../src/worker/element-type.ts';

const SERVED = Object.keys(DATATYPE_BYTES)
  .filter(isDatatype)
  .filter((datatype) => datatype !== 'BF16');

test.each(SERVED)('%s is an element type of ONNX Runtime, and is found again by it', (datatype) => {
  expect(datatypeOf(elementTypeOf(datatype))).toBe(datatype);
});

test.each(SERVED)('an array over %s has elements of the size that the protocol says', (datatype) => {
  const type = elementTypeOf(datatype);
  if (type === 'string') expect(DATATYPE_BYTES[datatype]).toBeUndefined();
  else expect(TYPED_ARRAYS[type].BYTES_PER_ELEMENT).toBe(DATATYPE_BYTES[datatype]);
});

test.each(['bfloat16', 'complex64', 'int4', '', 'constructor', '__proto__'])(
  "'%s' is no datatype that is served",
  (type) => {
    expect(datatypeOf(type)).toBeUndefined();
  },
);

test('BF16 cannot be given to the binding', () => {
  expect(() => elementTypeOf('BF16')).toThrow("ONNX Runtime's binding takes no BF16");
});
