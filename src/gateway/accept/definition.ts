/** The messages of `proto/`, apart from the two on the hot path, which `src/wire` encodes. */

import { fileURLToPath } from 'node:url';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { InferError } from '../errors.ts';

/** Where the protocol's definitions are, seen from `src/` and from `dist/` alike. */
const PROTO_DIRECTORY = fileURLToPath(new URL('../../../proto', import.meta.url));

/** The compiled form of all of `proto/`: a `google.protobuf.FileDescriptorSet`. */
export const DESCRIPTOR_SET_PATH = fileURLToPath(new URL('../../../proto/tensorgate.binpb', import.meta.url));

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

/**
 * The codecs of a service, by RPC. Messages are plain objects with the field names of the `.proto` file, 64-bit integers
 * are decimal texts (numbers are taken too, where they are exact), and enum values are their names.
 * @param file such as `health.proto`
 * @param service such as `grpc.health.v1.Health`
 */
export function loadCodecs(file: string, service: string): Map<string, Codec<object, object>> {
  const definition = loadSync(file, {
    includeDirs: [PROTO_DIRECTORY],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
  })[service];
  return new Map(Object.entries(definition as ServiceDefinition).map(([name, method]) => [name, codecOf(method)]));
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
