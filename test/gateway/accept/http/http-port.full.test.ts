/** The HTTP port against clients that are many, slow, silent or rude: probes and honest clients are answered all the same. */

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import type { HttpLimits } from '../../../../src/gateway/ops/http-limits.ts';
import {
  answersWith,
  listen,
  MiB,
  open,
  openMany,
  probe,
  reachedLimits,
  readAll,
  readSlowly,
  readsBody,
  text,
} from './http-fixture.ts';
import { head } from './raw-http.ts';

describe('a port that is full', () => {
  test('replaces the connection that has been silent longest', async () => {
    const port = await listen(readsBody, { maxConnections: 8, maxRequests: 4 });
    const reached = reachedLimits();
    const silent = await openMany(port, 8);
    await vi.waitUntil(() => port.gauges.connections === 8);
    for (let round = 0; round < 4; round++) expect(await probe(port)).toBe(200);
    expect(await silent[0]?.ended).toMatch(/FIN|ECONNRESET/);
    expect(reached).toContain('httpMaxConnections');
    const [youngest] = silent.slice(-1);
    youngest?.send(head('GET', '/readyz'));
    expect(await youngest?.answers(1)).toEqual([200]);
  });

  test('replaces connections of the address that has most of them', async () => {
    const port = await listen(readsBody, { maxConnections: 8, maxRequests: 4 });
    const scraper = await open(port, { from: '127.0.0.2' });
    scraper.send(head('GET', '/metrics'));
    await scraper.answers(1);
    await openMany(port, 20, { from: '127.0.0.1' });
    scraper.send(head('GET', '/metrics'));
    expect(await scraper.answers(2)).toEqual([200, 200]);
  });

  test.each<[what: string, begin: string]>([
    ['half a head', 'GET /livez HTTP/1.1\r\nhost'],
    ['half a line', 'GE'],
    ['a page that is not read', head('GET', '/metrics').repeat(3)],
  ])('replaces one that has sent %s', async (_, begin) => {
    const port = await listen(readsBody, { maxConnections: 8, maxRequests: 4 });
    const slow = await openMany(port, 8, { paused: true });
    for (const connection of slow) connection.send(begin);
    expect(await probe(port)).toBe(200);
  });

  test('never replaces a request that is under way', async () => {
    const gate = Promise.withResolvers<void>();
    const port = await listen(async () => gate.promise.then(() => text(200, 'done')), {
      maxConnections: 8,
      maxRequests: 7,
    });
    const asking = await openMany(port, 7);
    for (const connection of asking) connection.send(head('POST', '/v2/models/m/infer', { 'content-length': 0 }));
    await vi.waitUntil(() => port.gauges.requests === 7);
    for (let round = 0; round < 20; round++) expect(await probe(port)).toBe(200);
    gate.resolve();
    for (const connection of asking) expect(await connection.answers(1)).toEqual([200]);
  });
});

describe('requests over REST', () => {
  const post = head('POST', '/v2/models/m/infer', { 'content-length': 1_000 });

  test.each<[what: string, setting: string, limits: Partial<HttpLimits>, from: readonly [string, string]]>([
    ['in all', 'httpMaxRequests', { maxRequests: 4 }, ['127.0.0.1', '127.0.0.2']],
    ['of one address', 'httpMaxRequestsPerAddress', { maxRequestsPerAddress: 4 }, ['127.0.0.1', '127.0.0.1']],
  ])('have a number %s, above which they are refused at once, and probes are not', async (_, setting, limits, from) => {
    const port = await listen(readsBody, { maxConnections: 64, maxRequests: 32, ...limits });
    const reached = reachedLimits();
    for (const connection of await openMany(port, 4, { from: from[0] })) connection.send(post, '{');
    await vi.waitUntil(() => port.gauges.requests === 4);
    const refused = await open(port, { from: from[1] });
    refused.send(post);
    expect(await refused.ended).toBe('FIN');
    expect(refused.received).toMatch(/^HTTP\/1\.1 429 /);
    expect(refused.received).toMatch(/^connection: close\r$/im);
    expect(refused.received).toContain(`(${setting})`);
    expect(reached).toContain(setting);
    expect(await probe(port)).toBe(200);
  });

  test('from one address leave room for requests from another', async () => {
    const port = await listen(readsBody, { maxRequests: 8, maxRequestsPerAddress: 4 });
    for (const connection of await openMany(port, 6, { from: '127.0.0.2' })) connection.send(post, '{');
    await vi.waitUntil(() => port.gauges.requests === 4);
    const other = await open(port);
    other.send(head('POST', '/v2/models/m/infer', { 'content-length': 2 }), '{}');
    expect(await other.answers(1)).toEqual([200]);
  });

  test('give their place back however they end', async () => {
    const port = await listen(readsBody, { maxRequests: 4, bodyGraceMs: 200 });
    const [cut, late, whole, refused] = await openMany(port, 4);
    for (const connection of [cut, late, whole, refused]) connection?.send(post, '{');
    await vi.waitUntil(() => port.gauges.requests === 4);
    cut?.socket.destroy();
    whole?.send('x'.repeat(999));
    refused?.send('\r\n');
    expect(await whole?.answers(1)).toEqual([200]);
    expect(await late?.answers(1)).toEqual([408]);
    await vi.waitUntil(() => port.gauges.requests === 0, { timeout: 10_000 });
  });

  test('whose body drips are refused with 408, and one that is slow but steady is answered', async () => {
    const port = await listen(readsBody, { bodyGraceMs: 500, minBytesPerSecond: 1_000 });
    const reached = reachedLimits();
    const [dripping, steady] = await openMany(port, 2);
    dripping?.send(head('POST', '/v2/x', { 'content-length': 1_000 }));
    steady?.send(head('POST', '/v2/x', { 'content-length': 4_000 }));
    for (let sent = 0; sent < 4_000; sent += 200) {
      if (dripping?.codes.length === 0) dripping.send(' ');
      steady?.send('x'.repeat(200));
      await sleep(100);
    }
    expect(await steady?.answers(1)).toEqual([200]);
    expect(await dripping?.answers(1)).toEqual([408]);
    expect(dripping?.received).toContain('httpBodyGraceMs');
    expect(await dripping?.ended).toBe('FIN');
    expect(reached).toEqual(new Set(['httpBodyGraceMs']));
  });

  test('whose body waits for the server are not blamed for it', async () => {
    const gate = Promise.withResolvers<void>();
    const port = await listen(
      async (request) => {
        await gate.promise;
        return text(200, String((await readAll(request)).length));
      },
      { bodyGraceMs: 200, minBytesPerSecond: 1_000_000 },
    );
    const connection = await open(port);
    connection.send(head('POST', '/v2/x', { 'content-length': MiB }), 'x'.repeat(MiB));
    await sleep(2_500);
    expect(connection.codes).toEqual([]);
    gate.resolve();
    await connection.answers(1);
    expect(connection.received).toMatch(/1048576$/);
  });

  test('are asked for their body only when they are accepted', async () => {
    const port = await listen(readsBody, { maxRequests: 1 });
    const [accepted, refused] = await openMany(port, 2);
    const expecting = head('POST', '/v2/x', { 'content-length': 2, expect: '100-continue' });
    accepted?.send(expecting);
    expect(await accepted?.answers(1)).toEqual([100]);
    refused?.send(expecting);
    expect(await refused?.answers(1)).toEqual([429]);
    accepted?.send('{}');
    expect(await accepted?.answers(2)).toEqual([100, 200]);
  });

  test('that are refused before their body has come get the refusal, and no reset', async () => {
    const port = await listen(async () => text(413, 'too long'));
    const connection = await open(port);
    connection.send(head('POST', '/v2/x', { 'content-length': 32 * MiB }));
    for (let sent = 0; sent < 32; sent++) {
      if (!connection.socket.write(Buffer.alloc(MiB))) await once(connection.socket, 'drain');
    }
    connection.socket.end();
    expect(await connection.ended).toBe('FIN');
    expect(connection.received).toMatch(/^HTTP\/1\.1 413 .*too long$/s);
  });
});

describe('heads', () => {
  test('up to 60 KiB are taken, with all of their fields', async () => {
    let fields = 0;
    const port = await listen(async ({ headers }) => {
      fields = Object.keys(headers).length;
      return text(200, String(headers['authorization']?.length));
    });
    const connection = await open(port);
    connection.send(head('GET', '/v2', { authorization: 'a'.repeat(60_000) }));
    await connection.answers(1);
    expect(connection.received).toMatch(/60000$/);
    const many = Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`x-${index}`, index]));
    connection.send(head('GET', '/v2', many));
    expect(await connection.answers(2)).toEqual([200, 200]);
    expect(fields).toBe(3_001);
  });

  test.each([
    ['a field', head('GET', '/livez', { cookie: 'a'.repeat(70_000) })],
    ['many fields', head('GET', '/livez', Object.fromEntries(Array.from({ length: 8_000 }, (_, i) => [`x-${i}`, i])))],
    ['a path', head('GET', `/v2/${'a'.repeat(70_000)}`)],
  ])('that are too long because of %s are refused with the name of the limit', async (_, bytes) => {
    const port = await listen(readsBody);
    const connection = await open(port);
    connection.send(bytes);
    expect(await connection.ended).toBe('FIN');
    expect(connection.received).toMatch(/^HTTP\/1\.1 431 .*65536 bytes \(httpMaxHeaderBytes\)"}$/s);
    expect(await probe(port)).toBe(200);
  });

  test('that drip are refused with 408, the first of a connection and a further one', async () => {
    const port = await listen(readsBody, { headMs: 500 });
    const [first, second] = await openMany(port, 2);
    first?.send('GET /livez');
    second?.send(head('GET', '/livez'));
    await second?.answers(1);
    second?.send('GET /livez');
    for (const connection of [first, second]) {
      const timer = setInterval(() => connection?.send('x'), 100);
      expect(await connection?.ended).toBe('FIN');
      clearInterval(timer);
      expect(connection?.codes.at(-1)).toBe(408);
      expect(connection?.received).toContain('httpHeadMs');
    }
  });

  test('that never begin end the connection without an answer to nothing', async () => {
    const port = await listen(readsBody, { headMs: 200 });
    const connection = await open(port);
    expect(await connection.ended).toBe('FIN');
    expect(connection.received).toBe('');
  });

  test.each([
    ['a chunk without a length', 'transfer-encoding: chunked\r\n\r\nzz\r\n', 400],
    ['extensions of a chunk without end', `transfer-encoding: chunked\r\n\r\n1;${'a'.repeat(20_000)}`, 413],
  ])('are followed by a body that is refused: %s', async (_, rest, code) => {
    const port = await listen(readsBody);
    const connection = await open(port);
    connection.send(`POST /v2/x HTTP/1.1\r\nhost: x\r\n${rest}`);
    expect(await connection.ended).toBe('FIN');
    expect(connection.codes).toEqual([code]);
    connection.socket.end();
    await vi.waitUntil(() => port.gauges.requests === 0, { timeout: 10_000 });
  });

  test('that are no HTTP are refused, after the answers of the requests before them', async () => {
    const gate = Promise.withResolvers<void>();
    const port = await listen(async () => gate.promise.then(() => text(200, 'first')));
    const connection = await open(port);
    connection.send(head('GET', '/v2'), 'nonsense\r\n\r\n');
    await vi.waitUntil(() => port.gauges.requests === 1);
    gate.resolve();
    expect(await connection.ended).toBe('FIN');
    expect(connection.codes).toEqual([200, 400]);
  });
});

describe('an answer', () => {
  test('with many megabytes arrives whole at a slow reader', async () => {
    const port = await listen(answersWith(32 * MiB));
    const connection = await open(port, { paused: true });
    connection.send(head('GET', '/v2', { connection: 'close' }));
    const bytes = readSlowly(connection);
    expect(await connection.ended).toBe('FIN');
    expect(bytes()).toBeGreaterThan(32 * MiB);
    await vi.waitUntil(() => port.gauges.unreadBytes === 0);
  });

  test('that is not read ends its connection after the stall time, and counts until then', async () => {
    const port = await listen(answersWith(32 * MiB), { stallMs: 1_000 });
    const reached = reachedLimits();
    const connection = await open(port, { paused: true });
    connection.send(head('GET', '/v2'));
    await vi.waitUntil(() => port.gauges.unreadBytes === 32 * MiB);
    await vi.waitUntil(() => port.gauges.connections === 0, { timeout: 10_000 });
    expect(port.gauges).toEqual({ connections: 0, requests: 0, unreadBytes: 0 });
    expect(reached).toEqual(new Set(['httpStallMs']));
  });

  test('that stands still is cut for another when all of them together are too long', async () => {
    const port = await listen(answersWith(32 * MiB), { maxUnreadBytesInAll: 80 * MiB });
    const stalled = await openMany(port, 2, { paused: true });
    for (const connection of stalled) connection.send(head('GET', '/v2'));
    await vi.waitUntil(() => port.gauges.unreadBytes === 64 * MiB);
    const refused = await open(port);
    refused.send(head('GET', '/v2'));
    // Both may still be about to move.
    expect(await refused.answers(1)).toEqual([429]);
    expect(refused.received).toContain('(httpMaxUnreadBytesInAll)');
    await sleep(1_100);
    const reader = await open(port);
    reader.send(head('GET', '/v2', { connection: 'close' }));
    expect(await reader.ended).toBe('FIN');
    expect(reader.received.length).toBeGreaterThan(32 * MiB);
    expect(port.gauges.requests).toBe(1);
  });

  test('that is too long for a connection is refused with the name of the limit', async () => {
    const port = await listen(answersWith(MiB), { maxUnreadBytes: 64 * 1024 });
    const connection = await open(port);
    connection.send(head('GET', '/v2'));
    expect(await connection.answers(1)).toEqual([413]);
    expect(connection.received).toContain('1048576 bytes, more than 65536 (httpMaxUnreadBytes)');
  });

  test('that no one can give fails its own connection', async () => {
    const port = await listen(async () => Promise.reject(new Error('a bug')));
    const connection = await open(port);
    connection.send(head('GET', '/v2'));
    expect(await connection.ended).toMatch(/FIN|ECONNRESET/);
    expect(await probe(port)).toBe(200);
    expect(port.gauges.requests).toBe(0);
  });
});

test('a connection that is idle between requests is closed at the announced time', async () => {
  const port = await listen(readsBody, { keepAliveMs: 1_000 });
  const connection = await open(port);
  connection.send(head('GET', '/livez'));
  expect(await connection.ended).toBe('FIN');
  expect(connection.received).toMatch(/^keep-alive: timeout=1\r$/im);
});

test('a client that goes away is known to the handler at once', async () => {
  const gone = Promise.withResolvers<string>();
  const port = await listen((_, response) => {
    response.once('close', () => gone.resolve('gone'));
    return new Promise(() => {});
  });
  const connection = await open(port);
  connection.send(head('GET', '/v2'));
  await vi.waitUntil(() => port.gauges.requests === 1);
  connection.socket.destroy();
  expect(await gone.promise).toBe('gone');
});

describe('a request line', () => {
  test.each([
    ['/v2/models/m?x=1', '/v2/models/m?x=1'],
    ['http://models.example:80/v2/models/m?x=1', '/v2/models/m?x=1'],
    ['HTTPS://models.example/v2', '/v2'],
    ['/v2/http://models.example/', '/v2/http://models.example/'],
  ])('that asks for %s means %s', async (target, expected) => {
    const targets: (string | undefined)[] = [];
    const port = await listen(async ({ url }) => {
      targets.push(url);
      return text(200, 'done');
    });
    const connection = await open(port);
    connection.send(head('GET', target));
    expect(await connection.answers(1)).toEqual([200]);
    expect(targets).toEqual([expected]);
  });
});

test('a handler learns how long the answers of its connection take to a client that reads slowly', async () => {
  const seen: number[] = [];
  const port = await listen((request, response, wayBack) => {
    seen.push(wayBack.ms);
    return answersWith(16 * MiB)(request, response, wayBack);
  });
  const connection = await open(port, { paused: true });
  readSlowly(connection);
  for (let request = 1; request <= 4; request++) {
    connection.send(head('GET', '/v2'));
    await vi.waitUntil(() => seen.length === request, { timeout: 20_000 });
  }
  const [first = 0, , , fourth = 0] = seen;
  expect(first).toBe(1);
  // 64 chunks, 2 ms each.
  expect(fourth).toBeGreaterThan(20);
});
