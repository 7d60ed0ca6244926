/** Protobuf's description of messages: a `google.protobuf.FileDescriptorSet`, as `buf build` writes it (descriptor.proto). */

import { ProtobufReader } from './protobuf-reader.ts';

/** The values of `FieldDescriptorProto.Type` by their numbers. Groups have no name here: proto3 has none. */
const FIELD_TYPES = {
  1: 'double',
  2: 'float',
  3: 'int64',
  4: 'uint64',
  5: 'int32',
  6: 'fixed64',
  7: 'fixed32',
  8: 'bool',
  9: 'string',
  11: 'message',
  12: 'bytes',
  13: 'uint32',
  14: 'enum',
  15: 'sfixed32',
  16: 'sfixed64',
  17: 'sint32',
  18: 'sint64',
} as const;

export type FieldTypeName = (typeof FIELD_TYPES)[keyof typeof FIELD_TYPES];

export interface FieldDescriptor {
  readonly name: string;
  readonly number: number;
  readonly isRepeated: boolean;
  readonly type: FieldTypeName;
  /** Full name of a message or an enum, such as `inference.ModelConfig`; empty for a scalar. */
  readonly typeName: string;
  /** Index of the oneof that holds the field. */
  readonly oneof: number | undefined;
}

export interface MessageDescriptor {
  readonly fields: readonly FieldDescriptor[];
  /** The message is the entry of a map: fields `key` and `value`. */
  readonly isMapEntry: boolean;
}

/** The full names of the messages of an RPC. */
export interface RpcDescriptor {
  readonly request: string;
  readonly response: string;
}

/** By full name. */
export interface Descriptors {
  readonly messages: ReadonlyMap<string, MessageDescriptor>;
  /** The numbers of an enum's values by name. */
  readonly enums: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** The RPCs of a service by name. */
  readonly services: ReadonlyMap<string, ReadonlyMap<string, RpcDescriptor>>;
}

interface Types {
  readonly messages: Map<string, MessageDescriptor>;
  readonly enums: Map<string, ReadonlyMap<string, number>>;
}

/** The encoded `FileDescriptorProto`s of a set, by the name of the file, such as `inference.proto`. */
export function fileDescriptors(set: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  eachField(set, {
    1: (reader) => {
      const file = reader.bytes('file');
      eachField(file, { 1: (inner) => files.set(text(inner, 'name'), file) });
    },
  });
  return files;
}

/** The names of the files that one file imports. @param file an encoded `FileDescriptorProto` */
export function importsOf(file: Uint8Array): string[] {
  const imports: string[] = [];
  eachField(file, { 3: (reader) => imports.push(text(reader, 'dependency')) });
  return imports;
}

/**
 * The services that one file defines, and its messages and enums, which are read when they are first asked for, as the fields of a
 * message are: a start needs only names of services. Malformed ones throw WireError then.
 * @param file an encoded `FileDescriptorProto`
 * @throws WireError where the services are malformed
 */
export function readDescriptors(file: Uint8Array): Descriptors {
  return new EncodedFile(file);
}

export function joinDescriptors(files: readonly Descriptors[]): Descriptors {
  return new JoinedFiles(files);
}

class EncodedFile implements Descriptors {
  readonly services = new Map<string, ReadonlyMap<string, RpcDescriptor>>();
  readonly #encoded: Uint8Array;
  readonly #scope: string;
  #types: Types | undefined;

  constructor(file: Uint8Array) {
    let scope = '';
    eachField(file, { 2: (reader) => (scope = text(reader, 'package')) });
    eachField(file, { 6: (reader) => readService(reader.bytes('service'), scope, this.services) });
    this.#encoded = file;
    this.#scope = scope;
  }

  get messages(): ReadonlyMap<string, MessageDescriptor> {
    return this.#read().messages;
  }

  get enums(): ReadonlyMap<string, ReadonlyMap<string, number>> {
    return this.#read().enums;
  }

  #read(): Types {
    if (this.#types !== undefined) return this.#types;
    const found: Types = { messages: new Map(), enums: new Map() };
    eachField(this.#encoded, {
      4: (reader) => readMessage(reader.bytes('message_type'), this.#scope, found),
      5: (reader) => readEnum(reader.bytes('enum_type'), this.#scope, found),
    });
    this.#types = found;
    return found;
  }
}

class JoinedFiles implements Descriptors {
  readonly services: ReadonlyMap<string, ReadonlyMap<string, RpcDescriptor>>;
  readonly #files: readonly Descriptors[];
  #messages: ReadonlyMap<string, MessageDescriptor> | undefined;
  #enums: ReadonlyMap<string, ReadonlyMap<string, number>> | undefined;

  constructor(files: readonly Descriptors[]) {
    this.services = new Map(files.flatMap(({ services }) => [...services]));
    this.#files = files;
  }

  get messages(): ReadonlyMap<string, MessageDescriptor> {
    this.#messages ??= new Map(this.#files.flatMap(({ messages }) => [...messages]));
    return this.#messages;
  }

  get enums(): ReadonlyMap<string, ReadonlyMap<string, number>> {
    this.#enums ??= new Map(this.#files.flatMap(({ enums }) => [...enums]));
    return this.#enums;
  }
}

function readMessage(bytes: Uint8Array, scope: string, found: Types): void {
  // Nested messages need the name, and it may come behind them.
  const fullName = `${scope}.${nameIn(bytes)}`;
  let isMapEntry = false;
  const fields: Uint8Array[] = [];
  eachField(bytes, {
    2: (reader) => fields.push(reader.bytes('field')),
    3: (reader) => readMessage(reader.bytes('nested_type'), fullName, found),
    4: (reader) => readEnum(reader.bytes('enum_type'), fullName, found),
    7: (reader) => eachField(reader.bytes('options'), { 7: (options) => (isMapEntry = options.bool('map_entry')) }),
  });
  found.messages.set(fullName, new EncodedMessage(fields, isMapEntry));
}

class EncodedMessage implements MessageDescriptor {
  readonly isMapEntry: boolean;
  readonly #encoded: readonly Uint8Array[];
  #fields: readonly FieldDescriptor[] | undefined;

  constructor(fields: readonly Uint8Array[], isMapEntry: boolean) {
    this.#encoded = fields;
    this.isMapEntry = isMapEntry;
  }

  get fields(): readonly FieldDescriptor[] {
    this.#fields ??= this.#encoded.map(fieldOf);
    return this.#fields;
  }
}

/** Field 1 of a descriptor, which compilers write first; empty without one. */
function nameIn(bytes: Uint8Array): string {
  const reader = new ProtobufReader(bytes);
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) return text(reader, 'name');
    reader.skip();
  }
  return '';
}

const LABEL_REPEATED = 3n;

function fieldOf(bytes: Uint8Array): FieldDescriptor {
  let name = '';
  let number = 0;
  let isRepeated = false;
  let type: FieldTypeName | undefined;
  let typeName = '';
  let oneof: number | undefined;
  eachField(bytes, {
    1: (reader) => (name = text(reader, 'name')),
    3: (reader) => (number = Number(reader.int64('number'))),
    4: (reader) => (isRepeated = reader.uint64('label') === LABEL_REPEATED),
    5: (reader) => (type = FIELD_TYPES[Number(reader.uint64('type')) as keyof typeof FIELD_TYPES]),
    6: (reader) => (typeName = reference(reader, 'type_name')),
    9: (reader) => (oneof = Number(reader.uint64('oneof_index'))),
  });
  if (type === undefined) throw new TypeError(`field '${name}' has a type that proto3 does not have`);
  return { name, number, isRepeated, type, typeName, oneof };
}

function readEnum(bytes: Uint8Array, scope: string, { enums }: Types): void {
  let name = '';
  const values = new Map<string, number>();
  eachField(bytes, {
    1: (reader) => (name = text(reader, 'name')),
    2: (reader) => {
      let value = '';
      let number = 0;
      eachField(reader.bytes('value'), {
        1: (inner) => (value = text(inner, 'name')),
        2: (inner) => (number = Number(inner.int64('number'))),
      });
      values.set(value, number);
    },
  });
  enums.set(`${scope}.${name}`, values);
}

function readService(
  bytes: Uint8Array,
  scope: string,
  services: Map<string, ReadonlyMap<string, RpcDescriptor>>,
): void {
  let name = '';
  const rpcs = new Map<string, RpcDescriptor>();
  eachField(bytes, {
    1: (reader) => (name = text(reader, 'name')),
    2: (reader) => {
      let rpc = '';
      let request = '';
      let response = '';
      eachField(reader.bytes('method'), {
        1: (inner) => (rpc = text(inner, 'name')),
        2: (inner) => (request = reference(inner, 'input_type')),
        3: (inner) => (response = reference(inner, 'output_type')),
      });
      rpcs.set(rpc, { request, response });
    },
  });
  services.set(`${scope}.${name}`, rpcs);
}

/** Calls the handler of each field of a message, and skips the fields that have none. */
function eachField(bytes: Uint8Array, handlers: Readonly<Record<number, (reader: ProtobufReader) => void>>): void {
  const reader = new ProtobufReader(bytes);
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    const handle = handlers[field];
    if (handle === undefined) reader.skip();
    else handle(reader);
  }
}

/** Longer than any name that a compiler writes. */
const MAX_NAME_BYTES = 4_096;

/** A full name; compilers write it with a dot before it. */
function reference(reader: ProtobufReader, what: string): string {
  return text(reader, what).replace(/^\./, '');
}

function text(reader: ProtobufReader, what: string): string {
  return reader.textAt(reader.text(what, MAX_NAME_BYTES));
}
