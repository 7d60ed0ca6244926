import type { AddressInfo, Server } from 'node:net';
import { diagnostics } from '../ops/diagnostics.ts';

/** Remedies for an address that cannot be bound, by error code of the system. */
const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there: stop it, or choose another port (0 takes a free one)',
  EACCES: 'ports below 1024 need a privilege: choose a higher one',
  ENOTSUP: 'this system cannot spread connections over several listeners of a port: use one acceptor',
  EADDRNOTAVAIL: 'this machine has no such address: use 127.0.0.1, 0.0.0.0, or the address of one of its interfaces',
  ENOTFOUND: 'no such host name: use 127.0.0.1, 0.0.0.0, or the address of one of its interfaces',
};

/**
 * Binds `server`, and from then on logs connections that it cannot accept.
 * @param port 0 takes a free one.
 * @param sharesPort other listeners of this user may bind the same port with it; the system spreads connections over them.
 * @returns the port.
 * @throws Error that names the address and says what to do about it
 */
export function bind(
  server: Server,
  { host, port, sharesPort = false }: { readonly host: string; readonly port: number; readonly sharesPort?: boolean },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: NodeJS.ErrnoException): void => {
      const advice = ADVICE[cause.code ?? ''] ?? cause.message;
      reject(new Error(`cannot listen on ${host}:${port} (${cause.code}): ${advice}`, { cause }));
    };
    server.once('error', refuse);
    server.listen({ host, port, reusePort: sharesPort }, () => {
      server.off('error', refuse);
      server.on('error', (cause) => {
        diagnostics.notice.publish({ level: 'warn', text: 'a connection could not be accepted', cause });
      });
      resolve((server.address() as AddressInfo).port);
    });
  });
}
