/** Where the server is reached: an admin port of its own, TLS and mTLS on the ports of gRPC, either transport. */

import fs from 'node:fs';
import { credentials } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { runCommandLine } from '../cli/command-line.ts';
import { hasOpenssl, makeAuthority, makeCertificate } from '../http2/certificates.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { StockClient } from '../support/stock-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { rowsOf, SERVED, sumRequest } from './protocol-requests.ts';

const QUIET = ['--log-level', 'silent'];

test('with an admin port, what changes the server is offered only there', async () => {
  using repository = new Repository({ sum: SERVED.sum });
  const flags = [...QUIET, '--admin-port', '0', '--model-control-mode', 'explicit', '--load-model', 'sum'];
  await using server = await startServer(repository.directory, { flags });
  using client = new StockClient(server.grpc);
  using admin = new StockClient(server.admin ?? '');

  expect(await client.refusal('RepositoryModelUnload', { model_name: 'sum' })).toEqual({
    code: 'UNIMPLEMENTED',
    text: 'RepositoryModelUnload is offered only on the admin port',
  });
  expect((await fetch(`${server.http}/v2/repository/models/sum/unload`, { method: 'POST' })).status).toBe(501);
  expect((await fetch(`${server.http}/v2/logging`, { method: 'POST', body: '{}' })).status).toBe(501);
  expect(rowsOf(await client.infer(sumRequest()))).toMatchObject({ sum: [11, 22] });

  expect(await admin.refusal('ModelInfer', sumRequest())).toMatchObject({ code: 'UNIMPLEMENTED' });
  await admin.call('RepositoryModelUnload', { model_name: 'sum' });
  await expect.poll(() => client.refusal('ModelInfer', sumRequest())).toMatchObject({ code: 'NOT_FOUND' });
  await admin.call('RepositoryModelLoad', { model_name: 'sum' });
  expect(rowsOf(await client.infer(sumRequest()))).toMatchObject({ sum: [11, 22] });
});

test.each(['h2', 'grpc-js'])('gRPC is spoken by %s', async (transport) => {
  using repository = new Repository({ sum: SERVED.sum });
  await using server = await startServer(repository.directory, { flags: [...QUIET, '--transport', transport] });
  using client = new StockClient(server.grpc);
  expect(rowsOf(await client.infer(sumRequest()))).toMatchObject({ sum: [11, 22] });
});

describe.skipIf(!hasOpenssl())('over TLS', () => {
  test('clients that know the root are answered, and with mTLS only clients that show a certificate', async () => {
    const directory = temporaryDirectory();
    const authority = makeAuthority(directory, 'root');
    const own = makeCertificate(directory, 'server', authority);
    const caller = makeCertificate(directory, 'caller', authority);
    const [root, key, certificate] = [authority.certificate, caller.privateKey, caller.certificate].map((file) =>
      fs.readFileSync(file),
    );
    using repository = new Repository({ sum: SERVED.sum });
    const tls = ['--tls-certificate', own.certificate, '--tls-private-key', own.privateKey];
    const target = ({ grpcPort }: { readonly grpcPort: number }): string => `localhost:${grpcPort}`;
    {
      await using server = await startServer(repository.directory, { flags: [...QUIET, ...tls] });
      using client = new StockClient(target(server), credentials.createSsl(root));
      expect(rowsOf(await client.infer(sumRequest()))).toMatchObject({ sum: [11, 22] });
    }
    const flags = [...QUIET, ...tls, '--tls-client-ca', authority.certificate, '--rest', 'off'];
    await using server = await startServer(repository.directory, { flags });
    using stranger = new StockClient(target(server), credentials.createSsl(root));
    expect(await stranger.refusal('ModelInfer', sumRequest())).toMatchObject({ code: 'UNAVAILABLE' });
    using known = new StockClient(target(server), credentials.createSsl(root, key, certificate));
    expect(rowsOf(await known.infer(sumRequest()))).toMatchObject({ sum: [11, 22] });
  });
});

describe.skipIf(!hasOpenssl())('control principals', () => {
  const ADMIN = 'URI:spiffe://cluster.local/ns/ops/sa/deployer';

  test('are the only ones allowed to change the server; others are refused before their message is read, and REST is closed', async () => {
    const directory = temporaryDirectory();
    const authority = makeAuthority(directory, 'root');
    const own = makeCertificate(directory, 'server', authority);
    const admin = makeCertificate(directory, 'admin', authority, [ADMIN]);
    const caller = makeCertificate(directory, 'caller', authority, ['URI:spiffe://cluster.local/ns/shop/sa/search']);
    using repository = new Repository({ sum: SERVED.sum });
    const tls = ['--tls-certificate', own.certificate, '--tls-private-key', own.privateKey];
    const who = ['--tls-client-ca', authority.certificate, '--control-principals', `DNS:nobody.example,${ADMIN}`];
    const flags = [...QUIET, ...tls, ...who, '--model-control-mode', 'explicit', '--load-model', 'sum', '--rest', 'on'];
    await using server = await startServer(repository.directory, { flags });
    const clientOf = (identity: typeof admin): StockClient => {
      const [root, key, certificate] = [authority.certificate, identity.privateKey, identity.certificate];
      const files = [root, key, certificate].map((file) => fs.readFileSync(file));
      return new StockClient(`localhost:${server.grpcPort}`, credentials.createSsl(files[0], files[1], files[2]));
    };
    using known = clientOf(caller);
    using trusted = clientOf(admin);
    expect(rowsOf(await known.infer(sumRequest()))).toMatchObject({ sum: [11, 22] });
    expect(await known.refusal('RepositoryModelUnload', { model_name: 'sum' })).toMatchObject({
      code: 'PERMISSION_DENIED',
      text: expect.stringContaining('URI:spiffe://cluster.local/ns/shop/sa/search (controlPrincipals)'),
    });
    await trusted.call('RepositoryModelUnload', { model_name: 'sum' });
    const rest = await fetch(`${server.http}/v2/repository/models/sum/load`, { method: 'POST' });
    expect(rest.status).toBe(501);
  });
});

describe('what does not go together is refused', () => {
  test.each([
    [['--tls-certificate', '/c.pem'], /--tls-certificate and --tls-private-key go together/],
    [['--tls-client-ca', '/c.pem'], /--tls-client-ca needs --tls-certificate and --tls-private-key/],
    [
      ['--tls-certificate', '/c.pem', '--tls-private-key', '/k.pem', '--transport', 'grpc-js'],
      /TLS needs the transport h2/,
    ],
    [['--control-principals', 'DNS:a'], /--control-principals needs --tls-client-ca/],
    [['--control-principals', 'somebody'], /--control-principals: expected alternative names of certificates/],
    [['--transport', 'grpc-js', '--http2-stall-ms', '5'], /--http2-stall-ms: http2StallMs is for the transport h2/],
    [['--http2-stall-ms', '0'], /--http2-stall-ms: expected a whole number from 1/],
    [['--tls-certificate', '/nosuch.pem', '--tls-private-key', '/nosuch.key'], /nosuch/],
  ])('%s', async (flags, text) => {
    using repository = new Repository({ sum: SERVED.sum });
    const args = [
      'serve',
      '--model-repository',
      repository.directory,
      '--grpc-port',
      '0',
      '--http-port',
      '0',
      ...flags,
    ];
    const { code, stderr } = await runCommandLine(args);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(text) });
    expect(stderr).toMatch(/^error: /);
  });
});
