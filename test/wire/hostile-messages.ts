import { decodeInferRequest } from '../../src/wire/infer-request.ts';
import { decodeInferResponse, decodeStreamResponse } from '../../src/wire/infer-response.ts';
import { DEFAULT_WIRE_LIMITS } from '../../src/wire/limits.ts';

/** A message made to cost as much as it can. */
export interface HostileMessage {
  readonly name: string;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly outcome: 'accepted' | 'malformed' | 'limit';
  /** The bytes of one message of about `size` bytes. */
  readonly make: (size: number) => Uint8Array;
  /** How many times its size a message may cost, where its tensors themselves are larger than it is. */
  readonly maxGrowth?: number;
}

const request = (bytes: Uint8Array): unknown => decodeInferRequest(bytes, DEFAULT_WIRE_LIMITS);
const response = (bytes: Uint8Array): unknown => decodeInferResponse(bytes, DEFAULT_WIRE_LIMITS);
const stream = (bytes: Uint8Array): unknown => decodeStreamResponse(bytes, DEFAULT_WIRE_LIMITS);

/** `unit` over and over, whole. */
function repeat(unit: string): (size: number) => Uint8Array {
  const bytes = Buffer.from(unit, 'hex');
  return (size) => Buffer.alloc(size - (size % bytes.length), bytes);
}

/** One length-delimited field in another, the innermost with `content`. */
function within(fields: readonly number[], content: (size: number) => Uint8Array): (size: number) => Uint8Array {
  return (size) => fields.reduceRight((inner, field) => delimited(field, inner), content(size));
}

function delimited(field: number, content: Uint8Array): Uint8Array {
  const head = [(field << 3) | 2];
  let rest = content.length;
  for (; rest > 127; rest >>>= 7) head.push((rest & 127) | 128);
  return Buffer.concat([Uint8Array.from([...head, rest]), content]);
}

/** An output of datatype INT64 with as many typed elements of one byte each. */
function typedOutput(size: number): Uint8Array {
  const shape = delimited(1, delimited(3, varint(size))).subarray(2);
  return delimited(5, Buffer.concat([delimited(2, Buffer.from('INT64')), shape, within([5, 3], repeat('01'))(size)]));
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Uint8Array.from([...bytes, rest]);
}

/** As many tensors as are allowed, each with all that it may have, and raw contents for the rest. */
function fullRequest(size: number): Uint8Array {
  const name = delimited(1, Buffer.alloc(128, 'n'));
  const shape = delimited(3, Buffer.alloc(16, 1));
  const input = delimited(
    5,
    Buffer.concat([name, delimited(2, Buffer.alloc(128, 't')), shape, delimited(4, Buffer.alloc(0))]),
  );
  const output = delimited(6, name);
  const raw = delimited(7, Buffer.alloc(Math.floor(size / 64)));
  return Buffer.concat([...Array<Uint8Array>(64).fill(Buffer.concat([input, output, raw]))]);
}

export const HOSTILE_MESSAGES: readonly HostileMessage[] = [
  { name: 'empty inputs', decode: request, outcome: 'limit', make: repeat('2a00') },
  { name: 'empty requested outputs', decode: request, outcome: 'limit', make: repeat('3200') },
  { name: 'empty raw contents', decode: request, outcome: 'limit', make: repeat('3a00') },
  { name: 'empty parameters', decode: request, outcome: 'limit', make: repeat('2200') },
  { name: 'parameters of an input', decode: request, outcome: 'limit', make: within([5], repeat('2200')) },
  { name: 'a parameter with a long text', decode: request, outcome: 'limit', make: within([4, 2, 3], repeat('61')) },
  { name: 'a parameter with many values', decode: request, outcome: 'limit', make: within([4], repeat('12020801')) },
  { name: 'a parameter with many kinds', decode: request, outcome: 'limit', make: within([4, 2], repeat('1a026162')) },
  { name: 'a packed shape', decode: request, outcome: 'limit', make: within([5, 3], repeat('01')) },
  { name: 'an unpacked shape', decode: request, outcome: 'limit', make: within([5], repeat('1801')) },
  { name: 'a shape of empty parts', decode: request, outcome: 'limit', make: within([5], repeat('1a00')) },
  { name: 'a long model name', decode: request, outcome: 'limit', make: within([1], repeat('61')) },
  { name: 'a long id', decode: request, outcome: 'limit', make: within([3], repeat('61')) },
  { name: 'many model names', decode: request, outcome: 'limit', make: repeat('0a0461626364') },
  { name: 'many model names beyond ASCII', decode: request, outcome: 'limit', make: repeat('0a04c3a9c3a9') },
  { name: 'many names of one input', decode: request, outcome: 'limit', make: within([5], repeat('0a03616263')) },
  {
    name: 'many datatypes of one input',
    decode: request,
    outcome: 'limit',
    make: within([5], repeat('120446503332')),
  },
  { name: 'many names of one output', decode: request, outcome: 'limit', make: within([6], repeat('0a03616263')) },
  { name: 'many contents of one input', decode: request, outcome: 'malformed', make: within([5], repeat('2a00')) },
  { name: 'packed bool_contents', decode: request, outcome: 'accepted', make: within([5, 5, 1], repeat('01')) },
  { name: 'unpacked bool_contents', decode: request, outcome: 'accepted', make: within([5, 5], repeat('0801')) },
  { name: 'packed int64_contents', decode: request, outcome: 'accepted', make: within([5, 5, 3], repeat('01')) },
  { name: 'unpacked int64_contents', decode: request, outcome: 'accepted', make: within([5, 5], repeat('1801')) },
  { name: 'int64_contents in parts', decode: request, outcome: 'accepted', make: within([5, 5], repeat('1a0101')) },
  { name: 'packed fp32_contents', decode: request, outcome: 'accepted', make: within([5, 5, 6], repeat('00000000')) },
  { name: 'unpacked fp32_contents', decode: request, outcome: 'accepted', make: within([5, 5], repeat('3500000000')) },
  { name: 'empty bytes_contents', decode: request, outcome: 'accepted', make: within([5, 5], repeat('4200')) },
  { name: 'unknown fields', decode: request, outcome: 'limit', make: repeat('a00601') },
  { name: 'unknown fields of an input', decode: request, outcome: 'limit', make: within([5], repeat('a20600')) },
  { name: 'groups one after another', decode: request, outcome: 'limit', make: repeat('4344') },
  { name: 'groups in groups', decode: request, outcome: 'malformed', make: repeat('43') },
  { name: 'all that is allowed', decode: request, outcome: 'accepted', make: fullRequest },
  { name: 'empty outputs', decode: response, outcome: 'limit', make: repeat('2a00') },
  { name: 'empty raw output contents', decode: response, outcome: 'limit', make: repeat('3200') },
  { name: 'many model names in an answer', decode: response, outcome: 'limit', make: repeat('0a0461626364') },
  // Eight bytes for each element that took one: no more than the tensor that its shape announces.
  { name: 'int64_contents in an answer', decode: response, outcome: 'accepted', make: typedOutput, maxGrowth: 9 },
  { name: 'many errors', decode: stream, outcome: 'limit', make: repeat('0a0461626364') },
  { name: 'a long error', decode: stream, outcome: 'accepted', make: within([1], repeat('616263c3a9e282ac')) },
];
