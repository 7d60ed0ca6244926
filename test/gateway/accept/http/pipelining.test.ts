/** Requests that a client sends before it has the answers to those before them (RFC 9112, section 9.3.2). */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import type { HttpHandler } from '../../../../src/gateway/accept/http/http-answer.ts';
import type { HttpLimits } from '../../../../src/gateway/ops/http-limits.ts';
import { collectGarbage } from '../../../support/collect-garbage.ts';
import {
  answersWith,
  listen,
  MiB,
  never,
  open,
  probe,
  reachedLimits,
  readAll,
  readsBody,
  text,
} from './http-fixture.ts';
import { head, type RawConnection } from './raw-http.ts';

/** `/v2/00/infer`, `/v2/01/infer`, … */
function inferences(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `/v2/${String(index).padStart(2, '0')}/infer`);
}

/** A field of a request that is nearly as long as it may be. */
const LONG = 'x'.repeat(50_000);

/** Bytes of the heap that are in use. */
function heldBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

function heads(paths: readonly string[]): string {
  return paths.map((path) => head('GET', path)).join('');
}

/** Answers with the path, when the test says so. */
function gated(): { readonly handler: HttpHandler; readonly begun: string[]; answer(path: string): void } {
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const begun: string[] = [];
  return {
    begun,
    handler: async ({ url = '' }) => {
      const gate = Promise.withResolvers<void>();
      gates.set(url, gate);
      begun.push(url);
      await gate.promise;
      return text(200, `answer ${url};`);
    },
    answer: (path) => gates.get(path)?.resolve(),
  };
}

/** Is at work until its client has gone. */
const untilGone: HttpHandler = async (_, response) => {
  await new Promise((resolve) => response.once('close', resolve));
  return text(499, 'gone');
};

/** A connection whose client has sent requests for these paths, and `behind` them. */
async function send(
  paths: readonly string[],
  { behind = '', ...limits }: Partial<HttpLimits> & { readonly behind?: string } = {},
) {
  const { handler, begun, answer } = gated();
  const port = await listen(handler, limits);
  const connection = await open(port);
  connection.send(heads(paths), behind);
  return { port, connection, begun, answer };
}

function post(path: string, body: string): string {
  return head('POST', path, { 'content-length': body.length }) + body;
}

function answered({ received }: RawConnection): readonly (string | undefined)[] {
  return [...received.matchAll(/answer ([^;]+);/g)].map(([, path]) => path);
}

describe('pipelined inferences', () => {
  test('run at once, and are answered in the order in which they came', async () => {
    const paths = inferences(16);
    const { port, connection, begun, answer } = await send(paths);
    await vi.waitUntil(() => begun.length === 16);
    expect(begun).toEqual(paths);
    for (const path of paths.toReversed()) answer(path);
    await vi.waitUntil(() => answered(connection).length === 16);
    expect(answered(connection)).toEqual(paths);
    await vi.waitUntil(() => port.gauges.requests === 0);
  });

  test('run 16 at a time, and 16 more wait', async () => {
    const paths = inferences(32);
    const { connection, begun, answer } = await send(paths);
    await vi.waitUntil(() => begun.length === 16);
    await sleep(20);
    expect(begun).toHaveLength(16);
    for (const [index, path] of paths.entries()) {
      await vi.waitUntil(() => begun.includes(path));
      expect(begun.length).toBeLessThanOrEqual(index + 16);
      answer(path);
    }
    await vi.waitUntil(() => answered(connection).length === 32);
    expect(answered(connection)).toEqual(paths);
  });

  test('beyond these are not taken: the last answer says that the connection ends, and none is lost', async () => {
    const paths = inferences(99);
    const { port, connection, begun, answer } = await send(paths);
    for (const path of paths.slice(0, 32)) {
      await vi.waitUntil(() => begun.includes(path));
      answer(path);
    }
    expect(await connection.ended).toBe('FIN');
    expect(answered(connection)).toEqual(paths.slice(0, 32));
    expect(connection.closes.indexOf(true)).toBe(31);
    expect(begun).toHaveLength(32);
    await vi.waitUntil(() => port.gauges.requests === 0);
  });

  test('wait for a request before them that may change something, and it waits for those before it', async () => {
    const paths = ['/v2/a/infer', '/v2/b/infer', '/v2/load', '/v2/c/infer', '/v2/d/infer'];
    const { connection, begun, answer } = await send(paths);
    await vi.waitUntil(() => begun.length === 2);
    answer('/v2/b/infer');
    await sleep(20);
    expect(begun).toEqual(['/v2/a/infer', '/v2/b/infer']);
    answer('/v2/a/infer');
    await vi.waitUntil(() => begun.length === 3);
    await sleep(20);
    expect(begun.at(-1)).toBe('/v2/load');
    answer('/v2/load');
    await vi.waitUntil(() => begun.length === 5);
    for (const path of paths) answer(path);
    await vi.waitUntil(() => answered(connection).length === 5);
    expect(answered(connection)).toEqual(paths);
  });

  test('with bodies have each its own', async () => {
    const port = await listen(async (request) => text(200, `answer ${(await readAll(request)).slice(-8)};`));
    const connection = await open(port);
    const lengths = [10, 300_000, 0, 70_000, 8];
    for (const [index, bytes] of lengths.entries()) {
      connection.send(post('/v2/m/infer', `${'x'.repeat(bytes)}number ${index}`));
    }
    await vi.waitUntil(() => answered(connection).length === lengths.length);
    expect(answered(connection)).toEqual(lengths.map((_, index) => `number ${index}`));
  });

  test('all learn that their client is gone', async () => {
    let gone = 0;
    const port = await listen(async (...exchange) => {
      const answer = await untilGone(...exchange);
      gone++;
      return answer;
    });
    const connection = await open(port);
    connection.send(heads(inferences(8)));
    await vi.waitUntil(() => port.gauges.requests === 8);
    connection.socket.destroy();
    await vi.waitUntil(() => port.gauges.requests === 0);
    expect(gone).toBe(8);
  });

  test('hold their answers until it is their turn, and no longer than a client reads', async () => {
    const port = await listen(answersWith(8 * MiB), { stallMs: 1_000 });
    const reached = reachedLimits();
    const connection = await open(port, { paused: true });
    connection.send(heads(inferences(4)));
    await vi.waitUntil(() => port.gauges.unreadBytes === 32 * MiB);
    await vi.waitUntil(() => port.gauges.connections === 0, { timeout: 10_000 });
    expect(port.gauges).toEqual({ connections: 0, requests: 0, unreadBytes: 0 });
    expect(reached).toEqual(new Set(['httpStallMs']));
  });

  test('with large answers behind a slow one arrive whole', async () => {
    const first = Promise.withResolvers<void>();
    const port = await listen(async (request, ...rest) => {
      if (request.url?.includes('00') === true) await first.promise;
      return answersWith(2 * MiB)(request, ...rest);
    });
    const connection = await open(port);
    connection.send(heads(inferences(6)));
    await vi.waitUntil(() => port.gauges.unreadBytes === 10 * MiB);
    first.resolve();
    await vi.waitUntil(() => port.gauges.requests === 0);
    await vi.waitUntil(() => connection.received.length > 12 * MiB);
    expect(connection.codes).toEqual([200, 200, 200, 200, 200, 200]);
  });

  test('count one by one: the first that is too many is refused and ends the connection, after the answers before it', async () => {
    const paths = inferences(4);
    const { connection, begun, answer } = await send(paths, { maxRequestsPerAddress: 2 });
    await vi.waitUntil(() => begun.length === 2);
    answer(paths[1] ?? '');
    answer(paths[0] ?? '');
    expect(await connection.ended).toBe('FIN');
    expect(connection.codes).toEqual([200, 200, 429]);
    expect(begun).toHaveLength(2);
  });

  test('are answered before the refusal of nonsense behind them', async () => {
    const paths = inferences(3);
    const { connection, begun, answer } = await send(paths, { behind: 'nonsense\r\n\r\n' });
    await vi.waitUntil(() => begun.length === 3);
    for (const path of paths.toReversed()) answer(path);
    expect(await connection.ended).toBe('FIN');
    expect(connection.codes).toEqual([200, 200, 200, 400]);
  });

  test('that are under way when the server ends are all answered, and the last answer says that the connection ends', async () => {
    const paths = inferences(4);
    const { port, connection, begun, answer } = await send(paths);
    await vi.waitUntil(() => begun.length === 4);
    const drained = port.drain(20_000);
    for (const path of paths) answer(path);
    expect(await connection.ended).toBe('FIN');
    expect(answered(connection)).toEqual(paths);
    expect(connection.closes).toEqual([false, false, false, true]);
    await drained;
  });

  test('that can never be answered all fail with 503 before the time to drain is over', async () => {
    const port = await listen(never);
    const connection = await open(port);
    connection.send(heads(inferences(3)));
    await vi.waitUntil(() => port.gauges.requests === 3);
    await port.drain(500);
    expect(connection.codes).toEqual([503, 503, 503]);
  });
});

describe('other pipelined requests', () => {
  test('are answered in their order, one at a time', async () => {
    let running = 0;
    let most = 0;
    const port = await listen(async ({ url }) => {
      most = Math.max(most, ++running);
      await sleep(Number(url?.at(-1)) % 2 === 0 ? 5 : 0);
      running--;
      return text(200, `answer ${url};`);
    });
    const connection = await open(port);
    const paths = Array.from({ length: 16 }, (_, index) => `/v2/${String(index).padStart(2, '0')}`);
    connection.send(heads(paths));
    await vi.waitUntil(() => answered(connection).length === 16);
    expect(answered(connection)).toEqual(paths);
    expect(most).toBe(1);
  });

  test('with bodies are read in their turn', async () => {
    const port = await listen(readsBody);
    const connection = await open(port);
    const posts = [10, 300_000, 20].map((bytes) => post('/v2/x', 'x'.repeat(bytes)));
    connection.send(posts.toSpliced(2, 0, head('GET', '/livez')).join(''));
    expect(await connection.answers(4)).toEqual([200, 200, 200, 200]);
  });

  test('are read no sooner than it is their turn, whatever comes in one piece with the request before', async () => {
    const gate = Promise.withResolvers<void>();
    const port = await listen(async (request) => {
      const { length } = await readAll(request);
      await gate.promise;
      return text(200, `answer ${length};`);
    });
    const connection = await open(port);
    const lengths = Array.from({ length: 14 }, (_, index) => (index % 2 === 0 ? 8 * MiB + index : 100 + index));
    connection.send(...lengths.map((bytes) => post('/v2/x', 'x'.repeat(bytes))));
    await vi.waitUntil(() => port.gauges.requests === 1);
    await sleep(200);
    // The first 8 of 56 MiB are read, and the kernel takes some on both sides.
    expect(connection.socket.writableLength).toBeGreaterThan(30 * MiB);
    gate.resolve();
    await vi.waitUntil(() => answered(connection).length === lengths.length, { timeout: 20_000 });
    expect(answered(connection)).toEqual(lengths.map(String));
  });

  test('that wait when their client goes are never begun', async () => {
    let begun = 0;
    const port = await listen((...exchange) => {
      begun++;
      return untilGone(...exchange);
    });
    const connection = await open(port);
    connection.send(heads(['/v2/a', '/v2/b', '/v2/c']));
    await vi.waitUntil(() => port.gauges.requests === 3);
    connection.socket.destroy();
    await vi.waitFor(() => expect(port.gauges).toEqual({ connections: 0, requests: 0, unreadBytes: 0 }));
    expect(begun).toBe(1);
  });

  test('that wait count as under way: beyond the limit none is taken, and the last answer says that the connection ends', async () => {
    const [gate, reached] = [Promise.withResolvers<void>(), reachedLimits()];
    const handler: HttpHandler = async ({ url }) => {
      await gate.promise;
      return text(200, `answer ${url};`);
    };
    const port = await listen(handler, { maxRequests: 20 });
    const [first, second] = [await open(port), await open(port)];
    const paths = ['/v2/a', '/livez', ...Array.from({ length: 10 }, (_, index) => `/v2/${index}`)];
    first.send(heads(paths));
    await vi.waitUntil(() => port.gauges.requests === 12);
    second.send(heads(paths));
    await vi.waitUntil(() => port.gauges.requests === 20);
    await sleep(20);
    expect(port.gauges.requests).toBe(20);
    gate.resolve();
    expect(await second.ended).toBe('FIN');
    expect(second.closes).toEqual([...Array<boolean>(7).fill(false), true]);
    expect(answered(second)).toEqual(paths.slice(0, 8).toSpliced(1, 1));
    expect(await first.answers(12)).toEqual(Array(12).fill(200));
    await vi.waitUntil(() => port.gauges.requests === 0);
    expect(reached).toEqual(new Set(['httpMaxRequests']));
  });

  test.each([
    ['head', head('GET', '/v2', { 'x-long': LONG })],
    ['trailers', `${head('POST', '/v2', { 'transfer-encoding': 'chunked' })}0\r\nx-long: ${LONG}\r\n\r\n`],
  ])('that are not taken leave no %s in memory', async (_, request) => {
    const port = await listen(untilGone);
    const connection = await open(port);
    connection.send(heads(Array(17).fill('/v2')));
    await vi.waitUntil(() => port.gauges.requests === 17);
    const before = heldBytes();
    for (let count = 0; count < 100; count++) connection.send(request);
    await vi.waitUntil(() => connection.socket.writableLength === 0);
    await sleep(100);
    expect(connection.socket.readyState).toBe('open');
    expect((heldBytes() - before) / LONG.length).toBeLessThan(25);
  });

  test('behind the last answer of a connection leave no head in memory, and the 129th cuts it', async () => {
    const port = await listen(async () => ({ code: 200, headers: { connection: 'close' }, chunks: [] }));
    const connection = await open(port);
    const hadError = new Promise<boolean>((resolve) => connection.socket.once('close', resolve));
    connection.send(head('GET', '/v2'));
    expect(await connection.answers(1)).toEqual([200]);
    const before = heldBytes();
    const long = head('GET', '/v2', { 'x-long': LONG });
    connection.send(...Array<string>(100).fill(long));
    await vi.waitUntil(() => connection.socket.writableLength === 0);
    await sleep(100);
    expect(port.gauges.connections).toBe(1);
    expect((heldBytes() - before) / LONG.length).toBeLessThan(25);
    connection.send(...Array<string>(100).fill(long));
    // By a reset: a connection that is only left would stay half open.
    expect(await hadError).toBe(true);
  });

  test.each(['/v2', '/v2/m/infer'])('to %s that are too many end their connection', async (path) => {
    const port = await listen(untilGone);
    const connection = await open(port);
    connection.send(head('GET', path).repeat(2_000));
    expect(await connection.ended).toMatch(/FIN|ECONNRESET/);
    expect(await probe(port)).toBe(200);
    await vi.waitFor(() => expect(port.gauges).toEqual({ connections: 0, requests: 0, unreadBytes: 0 }));
  });
});
