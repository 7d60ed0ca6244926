/** Finds out why a gRPC call reached no gRPC server: each cause has a sentence of its own that names the remedy. */

import net from 'node:net';
import tls from 'node:tls';
import { messageOf } from '../error-message.ts';
import type { ServerAddress } from './server-address.ts';

/** The contents of PEM files. */
export interface TlsFiles {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

/** Limit of each connection, in milliseconds: a reply to a preface takes a round trip. */
const LIMIT_MS = 1_500;
const FRAME_HEADER_BYTES = 9;
const SETTINGS_FRAME = 4;
const TLS_ALERT = 0x15;

/** The start of an HTTP/2 connection: the preface, and an empty SETTINGS frame. */
const HTTP2_START = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  Buffer.from([0, 0, 0, SETTINGS_FRAME, 0, 0, 0, 0, 0]),
]);

/** `undefined` where a server speaks HTTP/2 there: the failure of the call has another cause. */
export async function findConnectionFault(
  address: ServerAddress,
  options: TlsFiles | undefined,
): Promise<string | undefined> {
  const fault = await findOpeningFault(address);
  if (fault !== undefined) return fault;
  return address.isSecure ? findTlsFault(address, options) : findCleartextFault(address);
}

async function findOpeningFault({ target, host, port }: ServerAddress): Promise<string | undefined> {
  const { error } = await converse(net.connect({ host, port }), 'connect', undefined);
  switch (error?.code) {
    case undefined:
      return undefined;
    case 'ECONNREFUSED':
      return `no server at ${target}: the connection is refused; start one with: npx tensorgate serve --model-repository DIR`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `there is no host '${host}': its name does not resolve (${error?.code})`;
    case 'ETIMEDOUT':
      return `${target} does not accept a connection within ${LIMIT_MS} ms: check the address, the network and its firewalls`;
    default:
      return `cannot connect to ${target}: ${messageOf(error)}`;
  }
}

async function findCleartextFault(address: ServerAddress): Promise<string | undefined> {
  const { target } = address;
  const { reply } = await converse(connect(address), 'connect', HTTP2_START);
  if (isSettings(reply)) return undefined;
  if (reply[0] === TLS_ALERT || (await speaksTls(address))) {
    return `${target} needs TLS: give --url grpcs://${target}, and --tls-ca FILE if a private authority signed its certificate`;
  }
  if (isHttp1(reply) || (await speaksHttp1(address))) return httpPort(target, 'HTTP/1.1');
  return `${target} does not speak HTTP/2, which gRPC needs: another kind of server listens there`;
}

async function findTlsFault(address: ServerAddress, options: TlsFiles | undefined): Promise<string | undefined> {
  const { target } = address;
  const socket = connectTls(address, options);
  const { reply, error, isOpen } = await converse(socket, 'secureConnect', HTTP2_START);
  if (isSettings(reply)) return undefined;
  const code = String(error?.code ?? '');
  if (isAlert(code) && /CERTIFICATE|HANDSHAKE_FAILURE|UNKNOWN_CA/.test(code)) {
    const remedy =
      options?.cert === undefined ? 'give --tls-cert and --tls-key' : 'it rejects the certificate in --tls-cert';
    return `${target} wants a client certificate (mTLS): ${remedy}`;
  }
  if (socket.authorizationError !== undefined && socket.authorizationError !== null) {
    const remedy = /ALTNAME|EXPIRED/.test(code) ? '' : '; name the root certificate that signs it with --tls-ca FILE';
    return `the certificate of ${target} is not trusted: ${messageOf(error)}${remedy}`;
  }
  if (/NO_APPLICATION_PROTOCOL/.test(code) || (isOpen && socket.alpnProtocol !== 'h2'))
    return httpPort(target, 'HTTP/1.1 over TLS');
  const { reply: cleartext } = await converse(connect(address), 'connect', HTTP2_START);
  if (isSettings(cleartext)) return `${target} does not use TLS: give --url grpc://${target}`;
  if (isHttp1(cleartext) || (await speaksHttp1(address))) return httpPort(target, 'HTTP/1.1 without TLS');
  return `${target} does not speak TLS: ${error === undefined ? 'it closed the connection' : messageOf(error)}`;
}

function httpPort(target: string, protocol: string): string {
  return `${target} speaks ${protocol}, not gRPC: it is an HTTP port (REST, metrics); give the gRPC port, which is 8001 unless the server says otherwise`;
}

/** A server that refuses the handshake with an alert speaks TLS too. */
async function speaksTls(address: ServerAddress): Promise<boolean> {
  const { isOpen, error } = await converse(connectTls(address, undefined, false), 'secureConnect', HTTP2_START);
  return isOpen || isAlert(error?.code);
}

function isAlert(code = ''): boolean {
  return /^ERR_SSL_.*_ALERT_/.test(code);
}

async function speaksHttp1(address: ServerAddress): Promise<boolean> {
  const request = Buffer.from(`GET / HTTP/1.1\r\nHost: ${address.target}\r\nConnection: close\r\n\r\n`, 'latin1');
  return isHttp1((await converse(connect(address), 'connect', request)).reply);
}

function connect({ host, port }: ServerAddress): net.Socket {
  return net.connect({ host, port });
}

function connectTls({ host, port }: ServerAddress, options?: TlsFiles, rejectUnauthorized = true): tls.TLSSocket {
  return tls.connect({
    host,
    port,
    rejectUnauthorized,
    ALPNProtocols: ['h2'],
    ...(net.isIP(host) === 0 && { servername: host }),
    ...(options?.ca !== undefined && { ca: options.ca }),
    ...(options?.cert !== undefined && { cert: options.cert }),
    ...(options?.key !== undefined && { key: options.key }),
  });
}

function isSettings(reply: Buffer): boolean {
  return reply.length >= FRAME_HEADER_BYTES && reply[3] === SETTINGS_FRAME && reply.readUInt32BE(5) === 0;
}

function isHttp1(reply: Buffer): boolean {
  return reply.toString('latin1', 0, 7) === 'HTTP/1.';
}

interface Conversation {
  /** The connection, or its TLS handshake, succeeded. */
  readonly isOpen: boolean;
  /** The first bytes, empty where none came. */
  readonly reply: Buffer;
  readonly error: NodeJS.ErrnoException | undefined;
}

/**
 * Waits for the connection, sends `request` and waits for the first bytes of a reply; without a request, only for the
 * connection. Never rejects.
 */
function converse(
  socket: net.Socket,
  opened: 'connect' | 'secureConnect',
  request: Buffer | undefined,
): Promise<Conversation> {
  const { promise, resolve } = Promise.withResolvers<Conversation>();
  let reply = Buffer.alloc(0);
  let isOpen = false;
  const end = (error?: NodeJS.ErrnoException): void => resolve({ isOpen, reply, error });
  const timer = setTimeout(() => end(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })), LIMIT_MS);
  socket.once(opened, () => {
    isOpen = true;
    if (request === undefined) end();
    else socket.write(request);
  });
  socket.on('data', (bytes: Buffer) => {
    reply = Buffer.concat([reply, bytes]);
    if (reply.length >= FRAME_HEADER_BYTES) end();
  });
  socket.on('error', end);
  socket.on('close', () => end());
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}
