import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { checkPorts } from '../../../../src/gateway/ops/diagnosis/ports.ts';

const host = '127.0.0.1';

async function takenPort(): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

test('ports that the system chooses are free', async () => {
  const findings = await checkPorts({ host, grpcPort: 0, httpPort: 0 });
  expect(findings.map(({ subject, level }) => [subject, level])).toEqual([
    ['grpc port', 'ok'],
    ['http port', 'ok'],
  ]);
});

test('a port on which another process listens fails, and is free for the next after the check', async () => {
  const port = await takenPort();
  const [grpc, http] = await checkPorts({ host, grpcPort: 0, httpPort: port });
  expect(grpc?.level).toBe('ok');
  expect(http).toEqual({
    level: 'fail',
    subject: 'http port',
    text: expect.stringMatching(`${port} \\(EADDRINUSE\\): .`),
  });
});

test('the same port cannot be both, and a check leaves it free', async () => {
  const other = createServer().listen(0, host);
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await new Promise((resolve) => other.close(resolve));
  for (let attempt = 0; attempt < 2; attempt++) {
    const findings = await checkPorts({ host, grpcPort: port, httpPort: port });
    expect(findings.map(({ level }) => level)).toEqual(['ok', 'fail']);
  }
});
