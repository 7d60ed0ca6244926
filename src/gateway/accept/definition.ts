/** The messages of `proto/`, apart from the two on the hot path, which `src/wire` encodes. */

import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { PROTO_DIRECTORY } from '../../protocol-files.ts';
import type { Service } from '../../wire/rpc-messages.ts';
import { InferError } from '../errors.ts';

/**
 * Longest request that protobufjs decodes: names, or the few settings that there are. protobufjs makes objects of some 200
 * bytes of a map entry of two; of this many bytes that is half a millisecond.
 */
export const MAX_REQUEST_BYTES = 4 * 1024;

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
 * The codecs of a service, by RPC. Messages are plain objects with the field names of the `.proto` file. 64-bit integers
 * are decimal texts (exact numbers are accepted, too), and enum values are their names.
 * @param file such as `health.proto`
 * @param service such as `grpc.health.v1.Health`
 */
export function loadCodecs<Rpcs extends Service<Rpcs>>(file: string, service: string): Codecs<Rpcs> {
  const definition = loadSync(file, {
    includeDirs: [PROTO_DIRECTORY],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
  })[service];
  const methods = Object.entries(definition as ServiceDefinition);
  // Only the `.proto` file knows the message types of an RPC: `Rpcs` repeats them for the compiler, in this one place.
  return Object.fromEntries(methods.map(([name, method]) => [name, codecOf(method)])) as Codecs<Rpcs>;
}

/** The codec of an RPC that `proto-loader` or a library defines. */
export function codecOf(method: ServiceDefinition[string]): Codec<object, object> {
  return {
    path: method.path,
    decode(bytes) {
      try {
        return method.requestDeserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      } catch (cause) {
        throw new InferError('malformed_message', 'Unable to parse request', { cause });
      }
    },
    encode: (response) => method.responseSerialize(response),
  };
}
