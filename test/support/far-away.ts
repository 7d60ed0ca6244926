/** A server as a client sees it that is far away: a relay that delays all bytes, both ways. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Relay extends AsyncDisposable {
  readonly port: number;
}

/** @param ms of delay, each way */
export async function farAway(port: number, ms: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  const relay = (from: Socket, to: Socket): void => {
    sockets.add(from);
    // Timers of one delay fire in the order in which they were set.
    from.on('data', (chunk) => setTimeout(() => to.write(chunk), ms));
    from.on('close', () => setTimeout(() => to.destroy(), ms));
    from.on('error', () => {});
  };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', noDelay: true });
    relay(near, far);
    relay(far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
