import { describe, expect, test } from 'vitest';
import { classify } from '../../../src/gateway/encode/classification.ts';
import { decodeBytesTensor } from '../../../src/wire/bytes-tensor.ts';
import type { Datatype, Shape } from '../../../src/wire/tensor.ts';
import { bytesOf } from '../../support/bytes-of.ts';

type Elements =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | BigInt64Array
  | BigUint64Array;

function output(datatype: Datatype, shape: Shape, elements: Elements | Uint8Array) {
  return {
    name: 'scores',
    datatype,
    shape,
    data: bytesOf(elements),
  };
}

function texts({ shape, data }: { shape: Shape; data: Uint8Array }): string[] {
  const elements = shape.reduce((product, size) => product * size, 1);
  return decodeBytesTensor(data, elements).map((element) => Buffer.from(element).toString());
}

const SCORES = output('FP32', [2, 3], new Float32Array([0.1, 0.7, 0.2, 3, 1, 2]));

describe('with batching', () => {
  test('the largest of each row, as value:index, descending', () => {
    const classes = classify(SCORES, 2, [], 'rows');
    expect([classes.name, classes.datatype, classes.shape]).toEqual(['scores', 'BYTES', [2, 2]]);
    expect(texts(classes)).toEqual(['0.700000:1', '0.200000:2', '3.000000:0', '2.000000:2']);
  });

  test('with a label where there is one', () => {
    expect(texts(classify(SCORES, 3, ['cat', 'dog', ''], 'rows')).slice(0, 3)).toEqual([
      '0.700000:1:dog',
      '0.200000:2',
      '0.100000:0:cat',
    ]);
  });

  test('no more than a row has', () => {
    const classes = classify(SCORES, 1_000_000, [], 'rows');
    expect(classes.shape).toEqual([2, 3]);
    expect(texts(classes)).toHaveLength(6);
  });

  test('over all axes behind the first', () => {
    const classes = classify(output('UINT8', [1, 2, 2], Uint8Array.of(1, 2, 4, 3)), 2, [], 'rows');
    expect(classes.shape).toEqual([1, 2]);
    expect(texts(classes)).toEqual(['4.000000:2', '3.000000:3']);
  });

  test('may have one value a row', () => {
    const classes = classify(output('FP32', [2], new Float32Array([5, 6])), 3, [], 'rows');
    expect(classes.shape).toEqual([2, 1]);
    expect(texts(classes)).toEqual(['5.000000:0', '6.000000:0']);
  });

  test('may have rows without elements', () => {
    expect(classify(output('FP32', [2, 0], new Float32Array(0)), 3, [], 'rows').shape).toEqual([2, 0]);
  });
});

test('without batching there is no first axis', () => {
  const classes = classify(SCORES, 2, [], 'whole');
  expect(classes.shape).toEqual([2]);
  expect(texts(classes)).toEqual(['3.000000:3', '2.000000:5']);
});

describe('order', () => {
  test('equal values keep the order of their indices', () => {
    expect(texts(classify(output('INT8', [1, 4], new Int8Array([1, 2, 1, 2])), 4, [], 'rows'))).toEqual([
      '2.000000:1',
      '2.000000:3',
      '1.000000:0',
      '1.000000:2',
    ]);
  });

  test('NaN comes first, so that it is seen', () => {
    const values = new Float32Array([1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]);
    expect(texts(classify(output('FP32', [1, 5], values), 5, [], 'rows'))).toEqual([
      'nan:1',
      'nan:4',
      'inf:2',
      '1.000000:0',
      '-inf:3',
    ]);
  });
});

describe('values are printed as C does', () => {
  test.each<{ datatype: Datatype; elements: Elements; text: string }>([
    { datatype: 'FP32', elements: new Float32Array([0.1]), text: '0.100000' },
    { datatype: 'FP64', elements: new Float64Array([-1.5]), text: '-1.500000' },
    { datatype: 'FP64', elements: new Float64Array([1e-9]), text: '0.000000' },
    { datatype: 'FP64', elements: new Float64Array([1e22]), text: '10000000000000000000000.000000' },
    { datatype: 'FP32', elements: new Float32Array([-(2 ** 100)]), text: '-1267650600228229401496703205376.000000' },
    { datatype: 'INT16', elements: new Int16Array([-300]), text: '-300.000000' },
    { datatype: 'UINT16', elements: new Uint16Array([65_535]), text: '65535.000000' },
    { datatype: 'INT32', elements: new Int32Array([-(2 ** 31)]), text: '-2147483648.000000' },
    { datatype: 'INT64', elements: new BigInt64Array([2n ** 63n - 1n]), text: '9223372036854775807.000000' },
    { datatype: 'UINT64', elements: new BigUint64Array([2n ** 64n - 1n]), text: '18446744073709551615.000000' },
  ])('$datatype: $text', ({ datatype, elements, text }) => {
    expect(texts(classify(output(datatype, [1, 1], elements), 1, [], 'rows'))).toEqual([`${text}:0`]);
  });
});

test('elements are read wherever they lie in their buffer', () => {
  const bytes = new Uint8Array(9);
  bytes.set(new Uint8Array(new Float32Array([4, 8]).buffer), 1);
  const unaligned = { name: 'scores', datatype: 'FP32', shape: [1, 2], data: bytes.subarray(1) } as const;
  expect(texts(classify(unaligned, 1, [], 'rows'))).toEqual(['8.000000:1']);
});
