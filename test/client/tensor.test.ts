import { describe, expect, test } from 'vitest';
import { type AnyTensor, decodeTensor, encodeTensor, Tensor, tensor } from '../../src/client/tensor.ts';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';

const EVERY_DATATYPE: AnyTensor[] = [
  tensor.bool([true, false], [2]),
  tensor.uint8([0, 255], [2]),
  tensor.uint16([0, 65_535], [2]),
  tensor.uint32([0, 4_294_967_295], [2]),
  tensor.uint64([0n, 18_446_744_073_709_551_615n], [2]),
  tensor.int8([-128, 127], [2]),
  tensor.int16([-32_768, 32_767], [2]),
  tensor.int32([-2_147_483_648, 2_147_483_647], [2]),
  tensor.int64([-9_223_372_036_854_775_808n, 9_223_372_036_854_775_807n], [2]),
  tensor.fp16(new Uint16Array([0x3c00, 0xc000]), [2]),
  tensor.fp32([0.1, Number.NaN], [2]),
  tensor.fp64([0.1, -0], [2]),
  tensor.bf16(new Uint16Array([0x3f80, 0x4049]), [2]),
  tensor.bytes(['grün', new Uint8Array([0, 255])], [2]),
];

/** `raw` at every offset from an aligned address. */
function atOffset(raw: Uint8Array, offset: number): Uint8Array {
  const memory = new Uint8Array(raw.length + 16);
  memory.set(raw, offset);
  return memory.subarray(offset, offset + raw.length);
}

describe('a tensor', () => {
  test.each(EVERY_DATATYPE)(
    'with datatype $datatype comes back from its raw contents, wherever they lie in memory',
    (original) => {
      for (let offset = 0; offset < 8; offset += 1) {
        expect(decodeTensor(original.datatype, [2], atOffset(encodeTensor(original), offset))).toEqual(original);
      }
    },
  );

  test('is a view of aligned raw contents, and a copy of others', () => {
    const raw = new Uint8Array(16);
    const view = decodeTensor('FP32', [2], raw.subarray(4, 12)).data as Float32Array;
    const copy = decodeTensor('FP32', [2], raw.subarray(5, 13)).data as Float32Array;
    expect(view.buffer).toBe(raw.buffer);
    expect(copy.buffer).not.toBe(raw.buffer);
    expect(copy).toHaveLength(2);
  });

  test('copies a Buffer that is not aligned: Buffer.slice would be a view', () => {
    const buffer = Buffer.alloc(13).subarray(1);
    expect((decodeTensor('FP64', [1], buffer.subarray(0, 8)).data as Float64Array).byteOffset % 8).toBe(0);
  });

  test('sends the bytes of a typed array that is a part of a larger one, and no others', () => {
    const part = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
    expect(decodeTensor('FP32', [2], encodeTensor(tensor.fp32(part, [2]))).data).toEqual(new Float32Array([2, 3]));
  });

  test('may be empty, and a scalar has one element', () => {
    expect(tensor.fp32([], [0, 3]).data).toHaveLength(0);
    expect(tensor.int64([7n], []).data).toEqual(new BigInt64Array([7n]));
    expect(encodeTensor(tensor.bytes([], [0]))).toHaveLength(0);
  });

  test('a BYTES tensor reads as text where it is UTF-8', () => {
    expect(tensor.bytes(['grün', '\ufeff', ''], [3]).strings()).toEqual(['grün', '\ufeff', '']);
    expect(() => tensor.bytes([new Uint8Array([255])], [1]).strings()).toThrow(TypeError);
    expect(() => (tensor.uint8([1], [1]) as Tensor).strings()).toThrow('a tensor of UINT8 has no strings');
  });

  test.each([
    [() => tensor.fp32([1, 2, 3], [2, 2]), 'shape [2,2] does not hold 3 elements'],
    [() => tensor.fp32([1], [-1]), 'shape [-1] does not hold 1 elements'],
    [() => tensor.uint8([1, 256], [2]), 'element 1 is 256, which is no UINT8'],
    [() => tensor.int8([-129], [1]), 'element 0 is -129, which is no INT8'],
    [() => tensor.int32([0.5], [1]), 'element 0 is 0.5, which is no INT32'],
    [() => tensor.uint64([-1n], [1]), 'element 0 is -1, which is no UINT64'],
  ])('is refused where the values do not fit: %s', (make, text) => {
    expect(make).toThrow(new RangeError(text));
  });

  test('rejects an array of another datatype', () => {
    const wrong = new Uint8Array(4) as unknown as Float32Array;
    expect(() => tensor.fp32(wrong, [4])).toThrow(new TypeError('the elements of FP32 come in a Float32Array'));
    expect(() => new Tensor('BYTES', [1], 'text' as unknown as Uint8Array[])).toThrow(TypeError);
  });

  test('is refused where raw contents have not the elements that the shape calls for', () => {
    expect(() => decodeTensor('FP32', [2], new Uint8Array(12))).toThrow(RangeError);
    expect(() => decodeTensor('FP32', [2], new Uint8Array(7))).toThrow(RangeError);
    expect(() => decodeTensor('BYTES', [2], encodeBytesTensor([new Uint8Array(1)]))).toThrow('1 elements, expected 2');
  });
});
