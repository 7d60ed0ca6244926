import { once } from 'node:events';
import fs from 'node:fs';
import http2 from 'node:http2';
import os from 'node:os';
import path from 'node:path';
import type tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type AcceptorsOptions, acceptorsListener } from '../../../../src/gateway/accept/acceptors/acceptors.ts';
import type { Method, Transport } from '../../../../src/gateway/accept/call.ts';
import { diagnostics, type Notice } from '../../../../src/gateway/ops/diagnostics.ts';
import type { Peer } from '../../../../src/http2/peer.ts';
import { type Certificate, hasOpenssl, makeAuthority, makeCertificate } from '../../../http2/certificates.ts';
import { TRANSPORT_OPTIONS } from '../../../support/transport-options.ts';

const SPIFFE_ID = 'URI:spiffe://cluster.local/ns/test/sa/caller';

const canMake = hasOpenssl();
if (!canMake) console.warn('SKIPPED: openssl is not installed, so there are no certificates');

describe.skipIf(!canMake)('TLS in acceptors', () => {
  let directory: string;
  let root: Certificate;
  let server: Certificate;
  let transport: Transport | undefined;
  let peers: (Peer | undefined)[] = [];

  beforeAll(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-test-'));
    root = makeAuthority(directory, 'root');
    server = makeCertificate(directory, 'server', root);
  });

  afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

  afterEach(async () => {
    await transport?.drain(0);
    peers = [];
  });

  const method: Method = {
    kind: 'unary',
    handle(call) {
      peers.push(call.peer);
      call.reply([]);
    },
  };

  async function serve(options: Partial<AcceptorsOptions>): Promise<number> {
    transport = await acceptorsListener({ count: 2, ...options })(TRANSPORT_OPTIONS, new Map([['/t/Method', method]]));
    return transport.port;
  }

  /** One call on a new connection. Gives the status, and the serial number of the server's certificate. */
  async function call(port: number, identity?: Certificate): Promise<{ status: unknown; serial: string }> {
    const session = http2.connect(`https://localhost:${port}`, {
      ca: fs.readFileSync(root.certificate),
      ...(identity && { cert: fs.readFileSync(identity.certificate), key: fs.readFileSync(identity.privateKey) }),
    });
    await once(session, 'connect');
    const { serialNumber } = (session.socket as tls.TLSSocket).getPeerCertificate();
    const stream = session.request({ ':method': 'POST', ':path': '/t/Method', 'content-type': 'application/grpc' });
    stream.end(Buffer.alloc(5));
    stream.resume();
    const [trailers] = await once(stream, 'trailers');
    session.destroy();
    return { status: trailers['grpc-status'], serial: serialNumber };
  }

  test("the owner sees the identity of a client's certificate", async () => {
    const port = await serve({ tls: { ...server, clientAuthorities: root.certificate } });
    const caller = makeCertificate(directory, 'caller', root, [SPIFFE_ID]);
    expect(await call(port, caller)).toMatchObject({ status: '0' });
    expect(peers).toEqual([
      {
        address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        certificate: { subject: 'CN=caller', alternativeNames: expect.arrayContaining([SPIFFE_ID]) },
      },
    ]);
  });

  test('each acceptor uses changed files, and the owner logs which one does', async () => {
    const files = { certificate: path.join(directory, 'live.crt'), privateKey: path.join(directory, 'live.key') };
    const install = ({ certificate, privateKey }: Certificate): void => {
      fs.copyFileSync(privateKey, files.privateKey);
      fs.copyFileSync(certificate, files.certificate);
    };
    const notices: Notice[] = [];
    const stop = diagnostics.notice.subscribe((notice) => notices.push(notice));
    install(server);
    const port = await serve({ tls: files, tlsReloadMs: 20 });
    const { serial: first } = await call(port);
    install(makeCertificate(directory, 'server-2', root));
    const inUse = (): string[] => notices.filter(({ level }) => level === 'info').map(({ text }) => text);
    await vi.waitUntil(() => inUse().length === 2, { timeout: 40_000, interval: 20 });
    stop();
    expect(inUse().sort()).toEqual([
      `acceptor 0: the certificate in ${files.certificate} is in use`,
      `acceptor 1: the certificate in ${files.certificate} is in use`,
    ]);
    for (let each = 0; each < 8; each++) expect((await call(port)).serial).not.toBe(first);
  });

  test('files that make no identity are refused at the start, by name', async () => {
    const files = { certificate: '/nowhere.crt', privateKey: server.privateKey };
    transport = undefined;
    await expect(serve({ tls: files })).rejects.toThrow('/nowhere.crt');
  });
});
