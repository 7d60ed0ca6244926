/** The messages of `proto/`, apart from the two on the hot path, which `src/wire` encodes by itself. */

import { readFileSync } from 'node:fs';
import { DESCRIPTOR_SET_PATH } from '../../protocol-files.ts';
import { type Descriptors, fileDescriptors, joinDescriptors, readDescriptors } from '../../wire/descriptors.ts';
import { WireError } from '../../wire/limits.ts';
import { MessageCodecs } from '../../wire/message-codec.ts';
import type { Service } from '../../wire/rpc-messages.ts';
import { InferError } from '../errors.ts';

/**
 * Longest request that is read as a plain object: names, or the few settings that there are. A map entry of two bytes becomes an
 * object of some 200; of this many bytes that is half a millisecond.
 */
export const MAX_REQUEST_BYTES = 4 * 1024;

/** A file of the protocol. */
export interface ProtocolFile {
  /** An encoded `FileDescriptorProto`. */
  readonly encoded: Uint8Array;
  readonly descriptors: Descriptors;
}

/** Every file of `proto/` by its name, such as `health.proto`, and those that they import. */
export const PROTOCOL_FILES: ReadonlyMap<string, ProtocolFile> = new Map(
  [...fileDescriptors(readFileSync(DESCRIPTOR_SET_PATH))].map(([name, encoded]) => [
    name,
    { encoded, descriptors: readDescriptors(encoded) },
  ]),
);

const DESCRIPTORS = joinDescriptors([...PROTOCOL_FILES.values()].map(({ descriptors }) => descriptors));
const MESSAGES = new MessageCodecs(DESCRIPTORS);

/** The messages of one RPC, on the server's side. */
export interface Codec<Request, Response> {
  readonly path: string;
  /** To be called with messages of at most `MAX_REQUEST_BYTES`. @throws InferError `malformed_message` */
  decode(bytes: Uint8Array): Request;
  encode(response: Response): Uint8Array;
}

export type Codecs<Rpcs extends Service<Rpcs>> = {
  readonly [Name in keyof Rpcs]: Codec<Rpcs[Name]['request'], Rpcs[Name]['response']>;
};

/**
 * The codecs of a service, by RPC. Messages are plain objects, as `wire/message-codec.ts` describes them.
 * @param service such as `grpc.health.v1.Health`
 */
export function loadCodecs<Rpcs extends Service<Rpcs>>(service: string): Codecs<Rpcs> {
  const rpcs = DESCRIPTORS.services.get(service);
  if (rpcs === undefined) throw new TypeError(`the protocol has no service ${service}`);
  const codecs = [...rpcs].map(([name, rpc]) => [name, codecOf(`/${service}/${name}`, rpc.request, rpc.response)]);
  // Only the `.proto` file knows the message types of an RPC: `Rpcs` repeats them for the compiler, in this one place.
  return Object.fromEntries(codecs) as Codecs<Rpcs>;
}

function codecOf(path: string, request: string, response: string): Codec<object, object> {
  return {
    path,
    decode(bytes) {
      try {
        return MESSAGES.of(request).decode(bytes);
      } catch (cause) {
        if (!(cause instanceof WireError)) throw cause;
        throw new InferError('malformed_message', 'Unable to parse request', { cause });
      }
    },
    encode: (message) => MESSAGES.of(response).encode(message),
  };
}
