import { afterAll, beforeAll } from 'vitest';
import { type ModelFiles, Repository } from './repository.ts';
import { type ServerOptions, startServer, type TestServer } from './server.ts';
import { StockClient } from './stock-client.ts';

export interface ServerFixture {
  readonly server: TestServer;
  readonly client: StockClient;
}

/** A server of these models, and a client of it, for all tests of the file or the `describe` that calls this. */
export function useServer(
  models: Readonly<Record<string, Uint8Array | ModelFiles>>,
  options: ServerOptions = {},
): ServerFixture {
  let running: ServerFixture | undefined;
  const get = (): ServerFixture => {
    if (running === undefined) throw new Error('the server runs in tests and hooks alone');
    return running;
  };
  let repository: Repository | undefined;
  beforeAll(async () => {
    repository = new Repository(models);
    const server = await startServer(repository.directory, { flags: ['--log-level', 'error'], ...options });
    running = { server, client: new StockClient(server.grpc) };
  });
  afterAll(async () => {
    running?.client[Symbol.dispose]();
    await running?.server.stop();
    repository?.[Symbol.dispose]();
  });
  return {
    get server() {
      return get().server;
    },
    get client() {
      return get().client;
    },
  };
}
