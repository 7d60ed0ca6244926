import { WireError, type WireLimits } from './limits.ts';
import { NO_TEXT, type ProtobufReader } from './protobuf-reader.ts';
import type { ProtobufWriter } from './protobuf-writer.ts';

/** One value of a parameter map; `none` is a value message in which no kind is set. */
export type InferParameter =
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'int64'; readonly value: bigint }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'double'; readonly value: number }
  | { readonly kind: 'uint64'; readonly value: bigint }
  | { readonly kind: 'none' };

/** A Map, not an object: the key `__proto__` is a key like any other. */
export type InferParameters = ReadonlyMap<string, InferParameter>;

export const NO_PARAMETERS: InferParameters = new Map();

/** A parameter as callers write it. A whole number is sent as int64, any other as double. */
export type ParameterValue = boolean | number | bigint | string;

export function toParameter(value: ParameterValue): InferParameter {
  switch (typeof value) {
    case 'boolean':
      return { kind: 'bool', value };
    case 'string':
      return { kind: 'string', value };
    case 'bigint':
      return { kind: 'int64', value };
    case 'number':
      return Number.isInteger(value) ? { kind: 'int64', value: BigInt(value) } : { kind: 'double', value };
  }
}

const NONE: InferParameter = Object.freeze({ kind: 'none' });

/** Reads the entries of all parameter maps of one message, and holds them together to the limits. */
export class InferParameterReader {
  readonly #reader: ProtobufReader;
  readonly #limits: WireLimits;
  #count = 0;
  #bytes = 0;

  constructor(reader: ProtobufReader, limits: WireLimits) {
    this.#reader = reader;
    this.#limits = limits;
  }

  /** Consumes one map entry and returns `map` with it, a new one where there is none yet. The last of equal keys counts. */
  readInto(map: Map<string, InferParameter> = new Map()): Map<string, InferParameter> {
    const reader = this.#reader;
    const outerEnd = reader.enter('a parameter');
    this.#checkLimits();
    let key = NO_TEXT;
    let value = NONE;
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 1) key = reader.text('the key of a parameter', this.#limits.maxParameterBytes);
      else if (field === 2) value = this.#readValue(value);
      else reader.skip();
    }
    map.set(reader.textAt(key), value);
    reader.leave(outerEnd);
    return map;
  }

  /** The parameter's value, read over `previous`: a field of a `oneof` that comes later replaces the earlier one. */
  #readValue(previous: InferParameter): InferParameter {
    const reader = this.#reader;
    const outerEnd = reader.enter('the value of a parameter');
    let value = previous;
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      switch (field) {
        case 1:
          value = { kind: 'bool', value: reader.bool('bool_param') };
          break;
        case 2:
          value = { kind: 'int64', value: reader.int64('int64_param') };
          break;
        case 3:
          value = { kind: 'string', value: reader.textAt(reader.text('string_param', this.#limits.maxParameterBytes)) };
          break;
        case 4:
          value = { kind: 'double', value: reader.double('double_param') };
          break;
        case 5:
          value = { kind: 'uint64', value: reader.uint64('uint64_param') };
          break;
        default:
          reader.skip();
      }
    }
    reader.leave(outerEnd);
    return value;
  }

  /** Counts the entry that was just entered, before anything of it is kept. */
  #checkLimits(): void {
    const { maxParameters, maxParameterBytes } = this.#limits;
    this.#count += 1;
    this.#bytes += this.#reader.left;
    const at = this.#reader.position;
    if (this.#count > maxParameters) {
      throw new WireError('limit', `more than ${maxParameters} parameters, at byte ${at}`);
    }
    if (this.#bytes > maxParameterBytes) {
      throw new WireError(
        'limit',
        `parameters of ${this.#bytes} bytes, at byte ${at}; at most ${maxParameterBytes} are allowed`,
      );
    }
  }
}

export function writeParameters(writer: ProtobufWriter, field: number, parameters: InferParameters): void {
  for (const [key, parameter] of parameters) {
    const entry = writer.begin(field);
    writer.text(1, key);
    const value = writer.begin(2);
    writeValue(writer, parameter);
    writer.end(value);
    writer.end(entry);
  }
}

function writeValue(writer: ProtobufWriter, parameter: InferParameter): void {
  switch (parameter.kind) {
    case 'bool':
      writer.bool(1, parameter.value);
      return;
    case 'int64':
      writer.bigint(2, parameter.value);
      return;
    case 'string':
      writer.text(3, parameter.value);
      return;
    case 'double':
      writer.double(4, parameter.value);
      return;
    case 'uint64':
      writer.bigint(5, parameter.value);
      return;
    case 'none':
      return;
  }
}
