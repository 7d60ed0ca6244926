import { once } from 'node:events';
import fs from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Method, Transport } from '../../src/gateway/accept/call.ts';
import { http2Listener } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { loadTls } from '../../src/gateway/accept/grpc/tls.ts';
import { diagnostics, type Notice } from '../../src/gateway/ops/diagnostics.ts';
import type { Peer } from '../../src/http2/peer.ts';
import { TlsIdentity } from '../../src/http2/tls-identity.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';
import { type Certificate, hasOpenssl, makeAuthority, makeCertificate } from './certificates.ts';

const OPTIONS = { ...TRANSPORT_OPTIONS, maxMessageBytes: 8 * 1024 * 1024 };
const SPIFFE_ID = 'URI:spiffe://cluster.local/ns/test/sa/caller';

const canMake = hasOpenssl();
if (!canMake) console.warn('SKIPPED: openssl is not installed, so there are no certificates');

describe.skipIf(!canMake)('TLS', () => {
  let directory: string;
  let root: Certificate;
  let server: Certificate;
  let caller: Certificate;
  let stranger: Certificate;
  let transport: Transport | undefined;
  let peers: (Peer | undefined)[] = [];

  beforeAll(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-test-'));
    root = makeAuthority(directory, 'root');
    server = makeCertificate(directory, 'server', root);
    caller = makeCertificate(directory, 'caller', root, [SPIFFE_ID]);
    stranger = makeCertificate(directory, 'stranger', makeAuthority(directory, 'other-root'));
  });

  afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

  afterEach(async () => {
    await transport?.drain(0);
    transport = undefined;
    peers = [];
  });

  const echo: Method = {
    kind: 'unary',
    handle: (call) => {
      peers.push(call.peer);
      call.reply([call.message]);
    },
  };

  async function serve({ mutual = false, reloadMs = 60_000, handshakeMs = 500, files = server } = {}): Promise<number> {
    const authorities = mutual ? { clientAuthorities: root.certificate } : {};
    const identity = await loadTls({ ...files, ...authorities }, { reloadMs });
    transport = await http2Listener({ tls: identity, limits: { handshakeMs } })(OPTIONS, new Map([['/t/Echo', echo]]));
    return transport.port;
  }

  /** One call on a new connection; resolves with the name of its status. */
  async function call(port: number, identity?: Certificate, message = Buffer.alloc(200_000, 3)): Promise<string> {
    const channel = credentials.createSsl(
      fs.readFileSync(root.certificate),
      identity && fs.readFileSync(identity.privateKey),
      identity && fs.readFileSync(identity.certificate),
    );
    const client = new Client(`localhost:${port}`, channel, { 'grpc.use_local_subchannel_pool': 1 });
    const asIs = (bytes: Buffer): Buffer => bytes;
    const outcome = await new Promise<string>((resolve) => {
      client.makeUnaryRequest('/t/Echo', asIs, asIs, message, new Metadata(), {}, (error, answer) => {
        if (error !== null) resolve(status[error.code] ?? '');
        else resolve(answer?.equals(message) ? 'OK' : 'a wrong answer');
      });
    });
    client.close();
    return outcome;
  }

  test('serves a stock client, with messages of all sizes', async () => {
    const port = await serve();
    for (const size of [0, 1, 20_000, 1_000_000]) {
      expect(await call(port, undefined, Buffer.alloc(size, 9))).toBe('OK');
    }
    expect(peers[0]).toEqual({ address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
  });

  test('mTLS admits clients known to the authority, and gives the call their identity', async () => {
    const port = await serve({ mutual: true });
    expect(await call(port, caller)).toBe('OK');
    expect(peers[0]?.certificate).toEqual({
      subject: 'CN=caller',
      alternativeNames: ['DNS:localhost', 'IP Address:127.0.0.1', SPIFFE_ID],
    });
    expect(await call(port)).toBe('UNAVAILABLE');
    expect(await call(port, stranger)).toBe('UNAVAILABLE');
    expect(await call(port, caller)).toBe('OK');
    expect(peers).toHaveLength(2);
  });

  test('mTLS refuses a certificate that has expired', async () => {
    const port = await serve({ mutual: true });
    expect(await call(port, makeCertificate(directory, 'expired', root, [], -1))).toBe('UNAVAILABLE');
    expect(peers).toHaveLength(0);
    expect(await call(port, caller)).toBe('OK');
  });

  test('a server name is whatever a client says it is, and changes nothing', async () => {
    const port = await serve();
    for (const name of ['localhost', 'other.example', 'a\0b', 'x'.repeat(250), '..', '*']) {
      await new Promise<void>((resolve) => {
        // `servername` is written into the handshake as it is.
        const socket = tls.connect({
          port,
          host: '127.0.0.1',
          rejectUnauthorized: false,
          ALPNProtocols: ['h2'],
          servername: name,
        });
        socket.on('secureConnect', () => socket.destroy());
        socket.on('error', () => undefined);
        socket.on('close', () => resolve());
      });
    }
    expect(await call(port)).toBe('OK');
  });

  test('a client that does not ask for h2 by ALPN is closed', async () => {
    const port = await serve();
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.on('error', () => undefined);
    await once(socket, 'close');
    expect(await call(port)).toBe('OK');
  });

  test('TLS 1.2 is taken with the ciphers that HTTP/2 allows, and 1.1 is not', async () => {
    const port = await serve();
    const connect = (options: tls.ConnectionOptions): Promise<string> =>
      new Promise((resolve) => {
        const socket = tls.connect({
          port,
          host: '127.0.0.1',
          rejectUnauthorized: false,
          ALPNProtocols: ['h2'],
          ...options,
        });
        socket.on('secureConnect', () => {
          resolve(`${socket.getProtocol()} ${socket.alpnProtocol}`);
          socket.destroy();
        });
        socket.on('error', () => resolve('refused'));
      });
    expect(await connect({ maxVersion: 'TLSv1.2' })).toBe('TLSv1.2 h2');
    expect(await connect({})).toBe('TLSv1.3 h2');
    expect(await connect({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' })).toBe('refused');
    expect(await connect({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' })).toBe('refused');
  });

  test.each([
    ['silence', Buffer.alloc(0)],
    ['half a handshake', Buffer.from('16030100a5010000a10303', 'hex')],
    ['cleartext HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['garbage', Buffer.alloc(10_000, 0x5a)],
  ])('%s ends with the time for a handshake at the latest, on 500 connections', async (_, bytes) => {
    const port = await serve();
    const sockets = Array.from({ length: 500 }, () => net.connect(port, '127.0.0.1'));
    const closed = sockets.map((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      socket.write(bytes);
      return new Promise<void>((resolve) => socket.once('close', () => resolve()));
    });
    await Promise.all(closed);
    expect(await call(port)).toBe('OK');
  });

  test('a drain does not wait for half a handshake', async () => {
    const port = await serve({ handshakeMs: 300_000 });
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    await once(socket, 'connect');
    socket.write(Buffer.from('16030100a5', 'hex'));
    expect(await call(port)).toBe('OK');
    const closed = once(socket, 'close');
    await transport?.drain(30_000);
    await closed;
  });

  test('changed files are used without a restart; wrong ones are reported, and change nothing', async () => {
    const files = { certificate: path.join(directory, 'live.crt'), privateKey: path.join(directory, 'live.key') };
    const install = ({ certificate, privateKey }: Certificate): void => {
      fs.copyFileSync(privateKey, files.privateKey);
      fs.copyFileSync(certificate, files.certificate);
    };
    const serial = async (): Promise<string> => {
      const session = http2.connect(`https://localhost:${port}`, { ca: fs.readFileSync(root.certificate) });
      await once(session, 'connect');
      const { serialNumber } = (session.socket as tls.TLSSocket).getPeerCertificate();
      session.destroy();
      return serialNumber;
    };
    const notices: Notice[] = [];
    const stop = diagnostics.notice.subscribe((notice) => notices.push(notice));
    install(server);
    const port = await serve({ files, reloadMs: 20 });
    const first = await serial();
    fs.writeFileSync(files.certificate, 'half a fi');
    while (!notices.some(({ level }) => level === 'warn')) await new Promise(setImmediate);
    expect(await serial()).toBe(first);
    install(makeCertificate(directory, 'server-2', root));
    while (!notices.some(({ level }) => level === 'info')) await new Promise(setImmediate);
    expect(await serial()).not.toBe(first);
    stop();
  });

  test('files that make no identity are refused at the start, by name', async () => {
    await expect(TlsIdentity.load({ certificate: '/nowhere.crt', privateKey: server.privateKey })).rejects.toThrow(
      '/nowhere.crt',
    );
    await expect(TlsIdentity.load({ ...server, privateKey: caller.privateKey })).rejects.toThrow(
      'do not make a TLS identity',
    );
  });

  test.each(['certificate', 'privateKey', 'clientAuthorities'] as const)(
    'TLS-1: a %s that is empty, or written in part, is refused by name',
    async (wrong) => {
      const files = { ...server, clientAuthorities: root.certificate };
      const whole = fs.readFileSync(files[wrong], 'utf8');
      const file = path.join(directory, 'partial.pem');
      for (const length of [0, 1, 20, whole.length >> 1, whole.length - 10]) {
        fs.writeFileSync(file, whole.slice(0, length));
        await expect(TlsIdentity.load({ ...files, [wrong]: file }), `${length} characters`).rejects.toThrow(file);
      }
    },
  );

  test('TLS-1: a second certificate that is written in part is refused', async () => {
    const file = path.join(directory, 'chain.pem');
    const [own, authority] = [server, root].map(({ certificate }) => fs.readFileSync(certificate, 'utf8'));
    fs.writeFileSync(file, `${own}${authority}`);
    await expect(TlsIdentity.load({ ...server, certificate: file, clientAuthorities: file })).resolves.toBeDefined();
    fs.writeFileSync(file, `${own}${authority?.slice(0, 100)}`);
    await expect(TlsIdentity.load({ ...server, certificate: file })).rejects.toThrow(file);
    await expect(TlsIdentity.load({ ...server, clientAuthorities: file })).rejects.toThrow(file);
  });
});
