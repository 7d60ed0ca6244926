import { WireError } from './limits.ts';
import { NO_TEXT, ProtobufReader } from './protobuf-reader.ts';
import { WireType } from './wire-type.ts';

/** `ModelRepositoryParameter`: the last kind that came, or none. */
export interface RepositoryParameter {
  readonly bool_param?: boolean;
  readonly int64_param?: bigint;
  readonly string_param?: string;
  /** A view of the message. */
  readonly bytes_param?: Uint8Array;
}

/** `RepositoryModelLoadRequest`, and `RepositoryModelUnloadRequest`, which has the same fields. */
export interface RepositoryRequest {
  readonly repository_name: string;
  readonly model_name: string;
  /** A Map, not an object: the key `__proto__` is a key like any other. */
  readonly parameters: ReadonlyMap<string, RepositoryParameter>;
}

/** Longest `config` of a load, in UTF-8 bytes. */
export const MAX_CONFIG_BYTES = 1024 * 1024;
/** UTF-8 bytes of all other texts of a request: names, and keys, which hold the names of files. */
const MAX_NAME_BYTES = 256 * 1024;
export const MAX_REQUEST_BYTES_WITHOUT_FILES = MAX_CONFIG_BYTES + MAX_NAME_BYTES;

/** Entries of `parameters`, also those whose key another entry has: a thousand files, and what comes with them. */
const MAX_PARAMETERS = 1_024;
/** Fields of the message and of all that is nested in it, unknown ones too. An entry takes four. */
const MAX_FIELDS = 8 * MAX_PARAMETERS;

/**
 * Decodes a load or unload request. A stock decoder makes a dozen objects of an entry of two bytes; this one makes one, and
 * refuses a message of too many fields while it reads them. Files stay views of `bytes`.
 * @throws WireError
 */
export function decodeRepositoryRequest(bytes: Uint8Array): RepositoryRequest {
  return new RequestReader(bytes).read();
}

class RequestReader {
  readonly #reader: ProtobufReader;
  readonly #parameters = new Map<string, RepositoryParameter>();
  #entries = 0;
  #fields = 0;
  #textBytesLeft = MAX_REQUEST_BYTES_WITHOUT_FILES;

  constructor(bytes: Uint8Array) {
    this.#reader = new ProtobufReader(bytes);
  }

  read(): RepositoryRequest {
    const reader = this.#reader;
    let repository = NO_TEXT;
    let model = NO_TEXT;
    for (let field = this.#next(); field !== 0; field = this.#next()) {
      if (field === 1) repository = this.#text('repository_name');
      else if (field === 2) model = this.#text('model_name');
      else if (field === 3) this.#entry();
      else this.#skip();
    }
    return {
      repository_name: reader.textAt(repository),
      model_name: reader.textAt(model),
      parameters: this.#parameters,
    };
  }

  #entry(): void {
    const reader = this.#reader;
    this.#entries += 1;
    if (this.#entries > MAX_PARAMETERS) throw new WireError('limit', `more than ${MAX_PARAMETERS} parameters`);
    const outerEnd = reader.enter('a parameter');
    let key = NO_TEXT;
    let value: RepositoryParameter = {};
    for (let field = this.#next(); field !== 0; field = this.#next()) {
      if (field === 1) key = this.#text('the key of a parameter');
      else if (field === 2) value = this.#value(value);
      else this.#skip();
    }
    reader.leave(outerEnd);
    this.#parameters.set(reader.textAt(key), value);
  }

  /** Reads the value over `previous`: a field of a `oneof` that comes later replaces the earlier one. */
  #value(previous: RepositoryParameter): RepositoryParameter {
    const reader = this.#reader;
    const outerEnd = reader.enter('the value of a parameter');
    let value = previous;
    for (let field = this.#next(); field !== 0; field = this.#next()) {
      if (field === 1) value = { bool_param: reader.bool('bool_param') };
      else if (field === 2) value = { int64_param: reader.int64('int64_param') };
      else if (field === 3) value = { string_param: reader.textAt(this.#text('string_param')) };
      else if (field === 4) value = { bytes_param: reader.bytes('bytes_param') };
      else this.#skip();
    }
    reader.leave(outerEnd);
    return value;
  }

  #next(): number {
    this.#fields += 1;
    if (this.#fields > MAX_FIELDS) throw new WireError('limit', `more than ${MAX_FIELDS} fields`);
    return this.#reader.next();
  }

  #skip(): void {
    if (this.#reader.wireType === WireType.GROUP_START)
      throw this.#reader.malformed('a group, which no field of this message is');
    this.#reader.skip();
  }

  #text(what: string): number {
    const before = this.#reader.position;
    const place = this.#reader.text(what, this.#textBytesLeft);
    this.#textBytesLeft -= this.#reader.position - before;
    return place;
  }
}
