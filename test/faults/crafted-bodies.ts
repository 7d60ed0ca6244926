/** Bodies made to cost a reader of JSON as much as they can. */

export interface CraftedBody {
  readonly title: string;
  /** The body, of about `size` bytes. */
  make(size: number): Buffer;
}

/** `head`, then `unit` again and again, then `tail`; a trailing comma of the last unit goes. */
function body(title: string, head: string, unit: string, tail: string): CraftedBody {
  return {
    title,
    make(size) {
      const middle = Buffer.alloc(size - (size % unit.length), unit);
      return Buffer.concat([
        Buffer.from(head),
        unit.endsWith(',') ? middle.subarray(0, -1) : middle,
        Buffer.from(tail),
      ]);
    },
  };
}

/** The start of a request with a tensor `x` of so many elements. */
function tensor(datatype: string, elements: number | string): string {
  return `{"inputs":[{"name":"x","datatype":"${datatype}","shape":[1,${elements}],"data":[`;
}

/** An array of values of one form, in the `data` of an input whose shape says how many there are. */
function values(title: string, datatype: string, unit: string): CraftedBody {
  return {
    title,
    make(size) {
      const elements = Math.floor(size / unit.length);
      return body(title, tensor(datatype, elements), unit, ']}]}').make(elements * unit.length);
    },
  };
}

/** For `POST …/infer`. */
export const INFER_BODIES: readonly CraftedBody[] = [
  values('FP32 of one digit', 'FP32', '0,'),
  values('FP32 as clients print them', 'FP32', '0.1234567,'),
  values('FP32 of 17 digits', 'FP32', '1.7976931348623157e-30,'),
  values('INT64 above 2^53', 'INT64', '9223372036854775807,'),
  values('BOOL', 'BOOL', 'true,'),
  values('NaN', 'FP32', 'NaN,'),
  values('empty strings', 'BYTES', '"",'),
  values('escaped strings', 'BYTES', '"\\u0041\\n",'),
  values('rows of one element', 'FP32', '[0],'),
  values('empty rows', 'FP32', '[],'),
  body('numbers for a shape of one element', tensor('FP32', 1), '0,', ']}]}'),
  body('one number without an end', tensor('FP32', 1), '1', ']}]}'),
  body('one string without an end', tensor('BYTES', 1).concat('"'), 'a', '"]}]}'),
  body('arrays in arrays', tensor('FP32', 1), '[', ''),
  body('inputs', '{"inputs":[', '{},', ']}'),
  body('axes', '{"inputs":[{"name":"x","datatype":"FP32","shape":[', '1,', '],"data":[]}]}'),
  body('outputs', '{"inputs":[],"outputs":[', '{"name":""},', ']}'),
];

/** For every route that takes JSON. */
export const JSON_BODIES: readonly CraftedBody[] = [
  body('spaces', '{', ' ', '}'),
  body('objects in objects', '', '{"a":', ''),
  body('arrays in arrays', '', '[', ''),
  body('one long key', '{"', 'a', '":1}'),
  body('one long value', '{"parameters":{"config":"', '\\"', '"}}'),
  body('one key again and again', '{', '"a":1,', '}'),
  distinctKeys('keys that all differ', '{', '}'),
  distinctKeys('parameters that all differ', '{"parameters":{', '}}'),
];

function distinctKeys(title: string, head: string, tail: string): CraftedBody {
  return {
    title,
    make(size) {
      const keys = Array.from(
        { length: Math.floor(size / 11) },
        (_, index) => `"${index.toString(36).padStart(6, '0')}":1`,
      );
      return Buffer.from(head + keys.join(',') + tail);
    },
  };
}
