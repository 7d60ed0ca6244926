/** The methods of a service, as proto-loader reads them from `proto/`. */

import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { PROTO_DIRECTORY } from '../protocol-files.ts';
import type { Service } from '../wire/rpc-messages.ts';

/** Field names are in camel case, 64-bit integers are numbers, and enum values are their names. */
export type Methods<Rpcs extends Service<Rpcs>> = {
  readonly [Name in keyof Rpcs]: MethodDefinition<Rpcs[Name]['request'], Rpcs[Name]['response']>;
};

const loaded = new Map<string, ServiceDefinition>();

/**
 * The first call for a service reads `proto/`, so that a client that only infers never does.
 * @param file such as `inference.proto`
 * @param service such as `inference.GRPCInferenceService`
 */
export function methodsOf<Rpcs extends Service<Rpcs>>(file: string, service: string): Methods<Rpcs> {
  const known = loaded.get(service);
  if (known !== undefined) return known as Methods<Rpcs>;
  const definition = loadSync(file, { includeDirs: [PROTO_DIRECTORY], longs: Number, enums: String, defaults: true });
  const methods = definition[service] as ServiceDefinition;
  loaded.set(service, methods);
  // Only the `.proto` file knows which messages an RPC has: `Rpcs` says the same to the compiler.
  return methods as Methods<Rpcs>;
}
