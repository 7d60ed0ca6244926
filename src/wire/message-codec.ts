/**
 * Messages as plain objects, by their descriptors: for RPCs whose messages are small and seldom. `infer-request.ts` and
 * `infer-response.ts` are for those on the hot path.
 *
 * Fields have the names of the `.proto` file. 64-bit integers are decimal texts (numbers are accepted, too), enum values are
 * their names, and maps are objects without a prototype. A decoded message has a value for each field, apart from messages and
 * members of a oneof (`optional` fields are such members) that were not sent.
 */

import type { Descriptors, FieldDescriptor, MessageDescriptor } from './descriptors.ts';
import { enumValues, type FieldValues, SCALARS } from './field-values.ts';
import { ProtobufReader } from './protobuf-reader.ts';
import { ProtobufWriter } from './protobuf-writer.ts';

export type PlainMessage = Record<string, unknown>;

/** A field in its message. */
interface Place extends FieldDescriptor {
  /** The names of the other members of its oneof: at most one of all is there. */
  readonly rivals: readonly string[];
}

/** Reads and writes one field of a message. */
interface Field {
  /** Gives the field to a message that does not have it. */
  clear(message: PlainMessage): void;
  /** Reads the field that the reader is at into the message. */
  read(reader: ProtobufReader, message: PlainMessage): void;
  /** Writes a value that is there. */
  write(writer: ProtobufWriter, value: unknown): void;
}

/** The codecs of the messages that descriptors describe. Each is made when it is first asked for. */
export class MessageCodecs {
  readonly #descriptors: Descriptors;
  readonly #codecs = new Map<string, MessageCodec>();

  constructor(descriptors: Descriptors) {
    this.#descriptors = descriptors;
  }

  /** @param fullName such as `inference.ModelReadyRequest` */
  of(fullName: string): MessageCodec {
    const known = this.#codecs.get(fullName);
    if (known !== undefined) return known;
    const descriptor = described(this.#descriptors.messages, fullName);
    const made = new MessageCodec(descriptor, (field) => this.#fieldOf(field, descriptor));
    this.#codecs.set(fullName, made);
    return made;
  }

  #fieldOf(field: FieldDescriptor, parent: MessageDescriptor): Field {
    const { name, type, typeName, isRepeated, oneof } = field;
    const rivals = oneof === undefined ? [] : parent.fields.filter((each) => each !== field && each.oneof === oneof);
    const place = { ...field, rivals: rivals.map((rival) => rival.name) };
    if (type === 'message') {
      const codec = this.of(typeName);
      if (codec.isMapEntry) return mapField(place, codec);
      if (isRepeated) return messagesField(place, codec);
      return messageField(place, codec, parent.isMapEntry ? 'always' : 'where-sent');
    }
    const values = type === 'enum' ? enumValues(described(this.#descriptors.enums, typeName)) : SCALARS[type];
    if (values === undefined) throw new TypeError(`'${name}' has the type ${type}, which is not supported`);
    return isRepeated ? listField(place, values) : scalarField(place, values);
  }
}

export class MessageCodec {
  readonly isMapEntry: boolean;
  readonly #descriptor: MessageDescriptor;
  readonly #fieldOf: (field: FieldDescriptor) => Field;
  /** Made when they are first needed, since a message may hold itself. */
  #fields: ReadonlyMap<number, Field> | undefined;

  constructor(descriptor: MessageDescriptor, fieldOf: (field: FieldDescriptor) => Field) {
    this.isMapEntry = descriptor.isMapEntry;
    this.#descriptor = descriptor;
    this.#fieldOf = fieldOf;
  }

  /** @throws WireError where the bytes are no such message */
  decode(bytes: Uint8Array): PlainMessage {
    const message = this.empty();
    this.readInto(new ProtobufReader(bytes), message);
    return message;
  }

  encode(message: object): Uint8Array {
    const writer = new ProtobufWriter();
    this.write(writer, message);
    const [first = new Uint8Array(), ...others] = writer.finish();
    return others.length === 0 ? first : Buffer.concat([first, ...others]);
  }

  /** A message without fields on the wire. */
  empty(): PlainMessage {
    const message: PlainMessage = {};
    for (const field of this.#byNumber.values()) field.clear(message);
    return message;
  }

  /** Reads fields to the end of the reader's message. Those that are unknown are skipped. */
  readInto(reader: ProtobufReader, message: PlainMessage): void {
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      const field = this.#byNumber.get(number);
      if (field === undefined) reader.skip();
      else field.read(reader, message);
    }
  }

  write(writer: ProtobufWriter, message: object): void {
    const fields = this.#byNumber;
    for (const { name, number } of this.#descriptor.fields) {
      const value = (message as PlainMessage)[name];
      if (value !== undefined && value !== null) fields.get(number)?.write(writer, value);
    }
  }

  get #byNumber(): ReadonlyMap<number, Field> {
    this.#fields ??= new Map(this.#descriptor.fields.map((field) => [field.number, this.#fieldOf(field)]));
    return this.#fields;
  }
}

function scalarField({ name, number, oneof, rivals }: Place, values: FieldValues): Field {
  const isMember = oneof !== undefined;
  return {
    clear: (message) => {
      if (!isMember) message[name] = values.zero;
    },
    read: (reader, message) => {
      message[name] = values.read(reader, name);
      for (const rival of rivals) delete message[rival];
    },
    write: (writer, value) => {
      if (isMember || !isZero(value, values.zero)) values.write(writer, number, value);
    },
  };
}

/** A 64-bit zero may be a number; a negative floating-point zero is none. */
function isZero(value: unknown, zero: unknown): boolean {
  if (typeof zero === 'string' && typeof value !== 'string') return zero === String(value);
  return Object.is(value, zero);
}

function listField({ name, number }: Place, values: FieldValues): Field {
  return {
    clear: (message) => {
      message[name] = [];
    },
    read: (reader, message) => {
      (message[name] as unknown[]).push(...values.readAll(reader, name));
    },
    write: (writer, value) => {
      const list = value as readonly unknown[];
      if (list.length > 0) values.writeAll(writer, number, list);
    },
  };
}

function messageField({ name, number, rivals }: Place, codec: MessageCodec, isThere: 'always' | 'where-sent'): Field {
  return {
    clear: (message) => {
      if (isThere === 'always') message[name] = codec.empty();
    },
    // A message that comes twice is the fields of both (protobuf.dev, "Last One Wins").
    read: (reader, message) => {
      message[name] = readNested(reader, name, codec, (message[name] as PlainMessage | undefined) ?? codec.empty());
      for (const rival of rivals) delete message[rival];
    },
    write: (writer, value) => writeNested(writer, number, codec, value as object),
  };
}

function messagesField({ name, number }: Place, codec: MessageCodec): Field {
  return {
    clear: (message) => {
      message[name] = [];
    },
    read: (reader, message) => {
      (message[name] as PlainMessage[]).push(readNested(reader, name, codec, codec.empty()));
    },
    write: (writer, value) => {
      for (const each of value as readonly object[]) writeNested(writer, number, codec, each);
    },
  };
}

function mapField({ name, number }: Place, entry: MessageCodec): Field {
  return {
    clear: (message) => {
      // A client may send the key `__proto__`.
      message[name] = Object.create(null);
    },
    read: (reader, message) => {
      const { key, value } = readNested(reader, name, entry, entry.empty());
      (message[name] as PlainMessage)[String(key)] = value;
    },
    write: (writer, value) => {
      for (const [key, each] of Object.entries(value as object)) {
        writeNested(writer, number, entry, { key, value: each });
      }
    },
  };
}

function readNested(reader: ProtobufReader, name: string, codec: MessageCodec, message: PlainMessage): PlainMessage {
  const outerEnd = reader.enter(name);
  codec.readInto(reader, message);
  reader.leave(outerEnd);
  return message;
}

function writeNested(writer: ProtobufWriter, number: number, codec: MessageCodec, message: object): void {
  const start = writer.begin(number);
  codec.write(writer, message);
  writer.end(start);
}

function described<Described>(byName: ReadonlyMap<string, Described>, fullName: string): Described {
  const found = byName.get(fullName);
  if (found === undefined) throw new TypeError(`no descriptor describes ${fullName}`);
  return found;
}
