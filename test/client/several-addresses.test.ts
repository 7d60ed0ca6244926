import { fileURLToPath } from 'node:url';
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterEach, expect, test, vi } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { type Message, SERVICE, startFakeServer, toEcho } from './fake-server.ts';

const HEALTH = loadSync(fileURLToPath(new URL('../../proto/health.proto', import.meta.url)), { enums: String })[
  'grpc.health.v1.Health'
] as ServiceDefinition;

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.forceShutdown();
});

/** A replica that answers as the version `name`, and whose health can be set. */
class Replica {
  readonly target: string;
  watches = new Set<ServerWritableStream<Message, Message>>();
  readonly #held: (() => void)[] = [];
  isHolding = false;
  health = 'SERVING';

  private constructor(target: string) {
    this.target = target;
  }

  static async start(name: string): Promise<Replica> {
    const server = new Server();
    servers.push(server);
    server.addService(SERVICE, {
      ModelInfer: ({ request }: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) => {
        const answer = (): void => reply(null, { ...toEcho(request), model_version: name });
        if (replica.isHolding) replica.#held.push(answer);
        else answer();
      },
    });
    server.addService(HEALTH, {
      Watch: (call: ServerWritableStream<Message, Message>) => {
        replica.watches.add(call);
        call.on('cancelled', () => replica.watches.delete(call));
        call.write({ status: replica.health });
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    const replica = new Replica(`127.0.0.1:${port}`);
    return replica;
  }

  set(health: string): void {
    this.health = health;
    for (const watch of this.watches) watch.write({ status: health });
  }

  get holding(): number {
    return this.#held.length;
  }

  release(): void {
    for (const answer of this.#held.splice(0)) answer();
  }
}

const INPUTS = { x: tensor.int8([1], [1]) };

async function versions(client: InferenceClient, calls: number): Promise<Set<string>> {
  const results = await Promise.all(Array.from({ length: calls }, () => client.infer('m', INPUTS)));
  return new Set(results.map(({ modelVersion }) => modelVersion));
}

/** Asks until the answers come from exactly these replicas. */
async function untilFrom(client: InferenceClient, ...names: string[]): Promise<void> {
  await vi.waitUntil(async () => {
    const seen = await versions(client, 6);
    return seen.size === names.length && names.every((name) => seen.has(name));
  }, 20_000);
}

test('calls are spread over several addresses, and avoid a replica that is not serving', async () => {
  const [a, b] = [await Replica.start('a'), await Replica.start('b')];
  await using client = new InferenceClient([a.target, b.target], { deadlineMs: 20_000 });
  await untilFrom(client, 'a', 'b');
  a.set('NOT_SERVING');
  await untilFrom(client, 'b');
  a.set('SERVING');
  await untilFrom(client, 'a', 'b');
  // Where no replica is serving, a call is the server's to refuse.
  a.set('NOT_SERVING');
  b.set('NOT_SERVING');
  expect((await versions(client, 4)).size).toBeGreaterThan(0);
});

test('a call takes the replica with the fewest calls under way', async () => {
  const [a, b] = [await Replica.start('a'), await Replica.start('b')];
  await using client = new InferenceClient([a.target, b.target], { deadlineMs: 20_000 });
  await untilFrom(client, 'a', 'b');
  a.isHolding = true;
  const calls = Array.from({ length: 3 }, () => client.infer('m', INPUTS));
  await vi.waitUntil(() => a.holding > 0);
  // One call hangs in `a`: each of these finds `b` idle.
  for (let call = 0; call < 5; call += 1) expect((await client.infer('m', INPUTS)).modelVersion).toBe('b');
  a.release();
  await Promise.all(calls);
});

test('an address that no one listens on costs no call, not even the first', async () => {
  const alive = await Replica.start('alive');
  const gone = await startFakeServer({});
  gone.server.forceShutdown();
  await using client = new InferenceClient([gone.target, alive.target], { deadlineMs: 20_000 });
  expect(await versions(client, 5)).toEqual(new Set(['alive']));
});

test('where no address answers, the call is UNAVAILABLE', async () => {
  const gone = await startFakeServer({});
  gone.server.forceShutdown();
  using client = new InferenceClient([gone.target, gone.target], { deadlineMs: 20_000 });
  await expect(client.infer('m', INPUTS)).rejects.toMatchObject({ status: 'UNAVAILABLE', retryable: true });
});

test('a server without the health service counts as serving', async () => {
  const echo = (call: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) =>
    reply(null, toEcho(call.request));
  const started = await Promise.all([startFakeServer({ ModelInfer: echo }), startFakeServer({ ModelInfer: echo })]);
  servers.push(...started.map(({ server }) => server));
  await using client = new InferenceClient(
    started.map(({ target }) => target),
    { deadlineMs: 20_000 },
  );
  expect(await versions(client, 6)).toEqual(new Set(['1']));
});

test('a client without an address is refused', () => {
  expect(() => new InferenceClient([])).toThrow('expected HOST:PORT, got none');
  expect(() => new InferenceClient('')).toThrow("expected HOST:PORT, got ''");
});

test('watchHealth yields each change, and ends with the iteration', async () => {
  const replica = await Replica.start('a');
  await using client = new InferenceClient(replica.target);
  const seen: string[] = [];
  for await (const health of client.watchHealth('m')) {
    seen.push(health);
    if (seen.length === 1) replica.set('NOT_SERVING');
    if (seen.length === 2) break;
  }
  expect(seen).toEqual(['SERVING', 'NOT_SERVING']);
  await vi.waitUntil(() => replica.watches.size === 0);
});
