/** Whether the addresses of a server can be bound. */

import { createServer, type Server } from 'node:net';
import { messageOf } from '../../../error-message.ts';
import { bind } from '../../accept/bind.ts';
import type { Settings } from '../settings.ts';
import type { Finding } from './finding.ts';

/** Binds both at the same time, as a server does: the same port twice is a mistake too. */
export async function checkPorts({
  host,
  grpcPort,
  httpPort,
}: Pick<Settings, 'host' | 'grpcPort' | 'httpPort'>): Promise<Finding[]> {
  const servers: Server[] = [];
  const findings: Finding[] = [];
  for (const { subject, port } of [
    { subject: 'grpc port', port: grpcPort },
    { subject: 'http port', port: httpPort },
  ]) {
    const server = createServer();
    try {
      await bind(server, { host, port });
      servers.push(server);
      findings.push({ level: 'ok', subject, text: `${host}:${port} is ${port === 0 ? 'any free one' : 'free'}` });
    } catch (error) {
      findings.push({ level: 'fail', subject, text: messageOf(error) });
    }
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return findings;
}
