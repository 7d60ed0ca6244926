/** A client's options as grpc-js takes them. */

import { type ChannelCredentials, credentials, type CallOptions as GrpcCallOptions, Metadata } from '@grpc/grpc-js';
import type { CallOptions, ClientOptions } from './client-options.ts';

export function toCredentials({ credentials: given, tls }: ClientOptions): ChannelCredentials {
  if (given !== undefined) return given;
  if (tls === undefined) return credentials.createInsecure();
  return credentials.createSsl(tls.ca ?? null, tls.privateKey ?? null, tls.certificate ?? null);
}

/** Later sources override earlier ones. */
export function toMetadata(...sources: readonly CallOptions['metadata'][]): Metadata {
  const metadata = new Metadata();
  for (const entries of sources) {
    for (const [key, value] of Object.entries(entries ?? {})) {
      metadata.set(key, key.toLowerCase().endsWith('-bin') ? Buffer.from(value, 'base64') : value);
    }
  }
  return metadata;
}

export function toGrpcOptions(deadlineMs: number | undefined): GrpcCallOptions {
  return deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
}
