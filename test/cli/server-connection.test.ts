import net from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { answer, type Message, startFakeServer } from '../client/fake-server.ts';
import { hasOpenssl, makeAuthority, makeCertificate } from '../http2/certificates.ts';
import { mlpModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { runCommandLine } from './command-line.ts';

/** Every command that talks to a server. */
const COMMANDS: readonly (readonly string[])[] = [
  ['infer', 'm', '--json', '-'],
  ['models'],
  ['models', 'shadow'],
  ['rollout', 'm', '--to', '2'],
  ['rollout', 'status'],
  ['rollout', 'abort', 'm'],
  ['rollout', 'forget', 'm'],
];

/** The one line that the command ends with. */
async function failureOf(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommandLine([...args], { input: '{"x": [1]}' });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  return stderr;
}

async function listen(onConnection: (socket: net.Socket) => void): Promise<string> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    onConnection(socket);
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

async function startModels(flags: readonly string[] = []): ReturnType<typeof startServer> {
  const repository = new Repository({ m: mlpModel() });
  const server = await startServer(repository.directory, { flags });
  onTestFinished(async () => {
    await server.stop();
    repository[Symbol.dispose]();
  });
  return server;
}

test.each(COMMANDS.map((command) => [command.join(' '), command] as const))(
  '%s names the refused connection and how to start a server',
  async (_, command) => {
    const gone = await startFakeServer({});
    gone.server.forceShutdown();
    expect(await failureOf([...command, '--url', gone.target])).toBe(
      `error: no server at ${gone.target}: the connection is refused; start one with: npx tensorgate serve --model-repository DIR\n`,
    );
  },
);

test('a host that does not resolve is named', async () => {
  expect(await failureOf(['models', '--url', 'no-such-host.invalid:8001'])).toMatch(
    /^error: there is no host 'no-such-host\.invalid': its name does not resolve \(E\w+\)\n$/,
  );
});

test('the HTTP port of a server is distinguished from its gRPC port, in cleartext and for https', async () => {
  const server = await startModels();
  const http = server.http.replace('http://', '');
  const text =
    'not gRPC: it is an HTTP port (REST, metrics); give the gRPC port, which is 8001 unless the server says otherwise\n';
  expect(await failureOf(['models', '--url', server.http])).toBe(`error: ${http} speaks HTTP/1.1, ${text}`);
  expect(await failureOf(['models', '--url', `https://${http}`])).toBe(
    `error: ${http} speaks HTTP/1.1 without TLS, ${text}`,
  );
  expect(await failureOf(['models', '--url', `grpcs://${server.grpc}`])).toBe(
    `error: ${server.grpc} does not use TLS: give --url grpc://${server.grpc}\n`,
  );
  for (const scheme of ['', 'grpc://', 'http://']) {
    const { code, stdout } = await runCommandLine(['models', '--url', `${scheme}${server.grpc}`]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^m +1 +READY/m) });
  }
});

test.each([
  ['greets', (socket: net.Socket) => void socket.write('220 mail.example.com ESMTP\r\n')],
  ['hangs up', (socket: net.Socket) => void socket.destroy()],
])('a server of another protocol, which %s, is said not to speak HTTP/2', async (_, onConnection) => {
  const target = await listen(onConnection);
  expect(await failureOf(['models', '--url', target, '--deadline-ms', '3000'])).toBe(
    `error: ${target} does not speak HTTP/2, which gRPC needs: another kind of server listens there\n`,
  );
});

test.skipIf(!hasOpenssl())(
  'TLS that is missing, not trusted, or lacks the certificate of the client has a sentence each',
  async () => {
    const directory = temporaryDirectory();
    const authority = makeAuthority(directory, 'root');
    const own = makeCertificate(directory, 'server', authority);
    const client = makeCertificate(directory, 'client', authority);
    const ca = ['--tls-ca', authority.certificate];
    const identity = ['--tls-cert', client.certificate, '--tls-key', client.privateKey];
    const flags = ['--tls-certificate', own.certificate, '--tls-private-key', own.privateKey];
    const server = await startModels([...flags, '--tls-client-ca', authority.certificate, '--rest', 'on']);
    const url = `grpcs://${server.grpc}`;
    expect(await failureOf(['models', '--url', server.grpc])).toBe(
      `error: ${server.grpc} needs TLS: give --url grpcs://${server.grpc}, and --tls-ca FILE if a private authority signed its certificate\n`,
    );
    expect(await failureOf(['models', '--url', url])).toMatch(
      /^error: the certificate of \S+ is not trusted: .+; name the root certificate that signs it with --tls-ca FILE\n$/,
    );
    expect(await failureOf(['models', '--url', url, ...ca])).toBe(
      `error: ${server.grpc} wants a client certificate (mTLS): give --tls-cert and --tls-key\n`,
    );
    for (const address of [url, server.grpc, `https://${server.grpc}`]) {
      const { code, stdout, stderr } = await runCommandLine(['models', '--url', address, ...ca, ...identity]);
      expect({ code, stderr, stdout }).toEqual({ code: 0, stderr: '', stdout: expect.stringMatching(/^m +1 +READY/m) });
    }
  },
);

test('wrong TLS files and addresses are refused before anything connects', async () => {
  const file = path.join(temporaryDirectory(), 'none.pem');
  expect(await failureOf(['models', '--tls-ca', file])).toMatch(/^error: --tls-ca: cannot read '.*none\.pem': ENOENT/);
  expect(await failureOf(['models', '--tls-ca', import.meta.filename])).not.toBe('');
  expect(await failureOf(['models', '--tls-cert', file])).toBe(
    'error: --tls-cert and --tls-key belong together: give both, or neither\n',
  );
  expect(await failureOf(['models', '--url', 'ftp://h:1'])).toBe(
    'error: --url ftp://h:1: ftp:// is not supported: expected HOST:PORT, grpc://HOST:PORT or grpcs://HOST:PORT\n',
  );
});

test('--header goes with each call, and a repeated one is joined', async () => {
  const seen: Message[] = [];
  const fake = await startFakeServer({
    ModelStatistics: (call: Message, reply: (error: null, message: Message) => void) => {
      seen.push(call['metadata'].getMap());
      reply(null, { model_stats: [] });
    },
    RepositoryIndex: answer({ models: [] }),
  });
  onTestFinished(() => fake.server.forceShutdown());
  const headers = ['--header', 'Authorization: Bearer a:b', '--header', 'x-tag=1', '--header', 'x-tag: 2'];
  expect(await runCommandLine(['models', '--url', fake.target, ...headers])).toMatchObject({ code: 0 });
  expect(seen).toEqual([expect.objectContaining({ authorization: 'Bearer a:b', 'x-tag': '1, 2' })]);
});

test.each(['novalue', 'a b: c', ': x', 'grpc-timeout: 1S'])('the header %j is a wrong command line', async (header) => {
  const { code, stderr } = await runCommandLine(['models', '--header', header]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining("'--header <name:value>'") });
});

test('an unknown model is answered with the nearest name, an unknown version with those there are', async () => {
  const server = await startModels();
  const at = ['--url', server.grpc, '--json', '-'];
  expect(await failureOf(['infer', 'mm', ...at])).toMatch(/; did you mean 'm'\?\n$/);
  expect(await failureOf(['infer', 'another-model', ...at])).toMatch(/; known are m\n$/);
  expect(await failureOf(['infer', 'm', '--version', '9', ...at])).toMatch(/; versions of it are 1\n$/);
});
