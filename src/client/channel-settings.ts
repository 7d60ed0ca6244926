/** A client's options as grpc-js takes them. */

import {
  type ChannelCredentials,
  type ChannelOptions,
  credentials,
  type CallOptions as GrpcCallOptions,
  Metadata,
} from '@grpc/grpc-js';
import type { CallOptions, ClientOptions } from './client-options.ts';
import { readPem } from './pem.ts';

/** TLS by the scheme of an address. Other schemes, such as `dns:` and `unix:`, are names that gRPC resolves. */
const SCHEMES: ReadonlyMap<string, boolean> = new Map([
  ['grpc:', false],
  ['http:', false],
  ['grpcs:', true],
  ['https:', true],
]);

/** Where to connect, as gRPC takes it, and whether with TLS. */
export interface Target {
  readonly name: string;
  readonly isSecure: boolean;
}

/**
 * @param address as the constructor of the client takes it
 * @param hasTls the client's options ask for TLS
 * @throws TypeError where the address is empty, or cleartext although the options ask for TLS
 */
export function toTarget(address: string, hasTls: boolean): Target {
  const { scheme, rest } = /^(?<scheme>(?:grpc|http)s?:)\/\/(?<rest>[^/]*)\/?$/i.exec(address)?.groups ?? {};
  const name = rest ?? address;
  if (name === '') throw new TypeError(`the address of a server is empty: expected HOST:PORT, got '${address}'`);
  const bySchema = scheme === undefined ? undefined : SCHEMES.get(scheme.toLowerCase());
  if (bySchema === false && hasTls) {
    throw new TypeError(`${address} is cleartext, but the option tls is given: use grpcs://, or leave out the option`);
  }
  return { name, isSecure: bySchema ?? hasTls };
}

/** @throws TypeError where a PEM file cannot be read, or `cert` and `key` do not come together */
export function toCredentials({ credentials: given, tls }: ClientOptions, isSecure: boolean): ChannelCredentials {
  if (given !== undefined) return given;
  if (!isSecure) return credentials.createInsecure();
  const { ca, cert, key } = tls ?? {};
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError('tls.cert and tls.key go together: give both, or neither');
  }
  return credentials.createSsl(readPem('tls.ca', ca), readPem('tls.key', key), readPem('tls.cert', cert));
}

export function toChannelOptions({ balancing, channelOptions }: ClientOptions): ChannelOptions {
  return {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    // Calls are retried by the client, which also knows the reason of a refusal.
    'grpc.enable_retries': 0,
    ...(balancing !== undefined && {
      'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ [balancing]: {} }] }),
    }),
    ...channelOptions,
  };
}

/** Later sources override earlier ones. */
export function mergeMetadata(...sources: readonly CallOptions['metadata'][]): Record<string, string> {
  const entries = sources.flatMap((source) => Object.entries(source ?? {}));
  return Object.fromEntries(entries.map(([key, value]) => [key.toLowerCase(), value]));
}

export function toMetadata(entries: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(entries)) {
    metadata.set(key, key.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
  }
  return metadata;
}

export function toGrpcOptions(deadlineAt: number | undefined): GrpcCallOptions {
  return deadlineAt === undefined ? {} : { deadline: toWallClock(deadlineAt) };
}

/** As gRPC takes a time. @param at by the clock of `performance.now()` */
export function toWallClock(at: number): number {
  return Date.now() + (at - performance.now());
}
