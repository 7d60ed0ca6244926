import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** Who is at the other end of a connection. */
export interface Peer {
  /** Such as `10.0.0.7:51234`. */
  readonly address: string;
  /** Subject and alternative names (`URI:spiffe://cluster/ns/a`) of a verified client certificate. */
  readonly certificate?: { readonly subject: string; readonly alternativeNames: readonly string[] };
}

export function peerOf(socket: Socket): Peer {
  return { address: `${socket.remoteAddress}:${socket.remotePort}` };
}

/** A name, or one in quotes where it holds what separates names. */
const ALTERNATIVE_NAME = /(?:"(?:\\.|[^"\\])*"|[^,"])+/g;

/** The certificate is there only where the client had to show one: one that was not asked for was not verified. */
export function peerOfTls(socket: TLSSocket): Peer {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return peerOf(socket);
  const names = certificate.subjectAltName?.match(ALTERNATIVE_NAME) ?? [];
  return {
    ...peerOf(socket),
    certificate: { subject: certificate.subject, alternativeNames: names.map((name) => name.trim()) },
  };
}
