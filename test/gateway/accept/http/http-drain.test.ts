/** How the HTTP port ends: with every accepted request answered and every answer taken, and without a reset. */

import { Agent, request } from 'node:http';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { HttpPort } from '../../../../src/gateway/accept/http/http-port.ts';
import { answersWith, listen, MiB, never, open, openMany, readSlowly, readsBody, text } from './http-fixture.ts';
import { head } from './raw-http.ts';

test('a request that is under way is answered, says that the connection ends, and the drain waits for it', async () => {
  const gate = Promise.withResolvers<void>();
  const port = await listen(async () => gate.promise.then(() => text(200, 'done')));
  const connection = await open(port);
  connection.send(head('GET', '/v2'));
  await vi.waitUntil(() => port.gauges.requests === 1);
  let isDrained = false;
  const drained = port.drain(20_000).then(() => (isDrained = true));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(isDrained).toBe(false);
  gate.resolve();
  expect(await connection.ended).toBe('FIN');
  expect(connection.received).toMatch(/^HTTP\/1\.1 200 .*done$/s);
  expect(connection.closes).toEqual([true]);
  await drained;
});

test('an answer that is being read is read to its end', async () => {
  const port = await listen(answersWith(32 * MiB));
  const connection = await open(port, { paused: true });
  connection.send(head('GET', '/v2'));
  await vi.waitUntil(() => port.gauges.unreadBytes > 0);
  const drained = port.drain(20_000);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const bytes = readSlowly(connection);
  // Its head was written before the drain, and could not say that the connection ends.
  expect(await connection.ended).toBe('FIN');
  expect(bytes()).toBeGreaterThan(32 * MiB);
  connection.socket.end();
  await drained;
});

test('idle connections end by FIN, and so do those that never sent a request', async () => {
  const port = await listen(readsBody);
  const [idle, silent] = await openMany(port, 2);
  idle?.send(head('GET', '/livez'));
  await idle?.answers(1);
  const drained = port.drain(20_000);
  expect(await idle?.ended).toBe('FIN');
  expect(await silent?.ended).toBe('FIN');
  await drained;
});

test('a connection that was just in use has its next request answered, with `connection: close`', async () => {
  const port = await listen(readsBody);
  const connection = await open(port);
  connection.send(head('GET', '/v2'));
  await connection.answers(1);
  const drained = port.drain(20_000);
  connection.send(head('GET', '/v2'));
  expect(await connection.ended).toBe('FIN');
  expect(connection.codes).toEqual([200, 200]);
  expect(connection.closes).toEqual([false, true]);
  await drained;
});

test('what can never be answered fails with 503 before the time is over, and what never reads is cut', async () => {
  const port = await listen(({ url }, ...rest) =>
    url === '/v2/large' ? answersWith(32 * MiB)({ url } as never, ...rest) : never({ url } as never, ...rest),
  );
  const [asking, unread] = [await open(port), await open(port, { paused: true })];
  asking.send(head('GET', '/v2/never'));
  unread.send(head('GET', '/v2/large'));
  await vi.waitUntil(() => port.gauges.requests === 2);
  await port.drain(500);
  expect(asking.codes).toEqual([503]);
  expect(asking.received).toMatch(
    /"the server ended before it could answer this: try another replica","reason":"draining"}$/,
  );
  await port.close(200);
  unread.read();
  expect(await unread.ended).toMatch(/FIN|ECONNRESET/);
});

test('a client that never closes its side does not hold up the drain for longer than its answer may take', async () => {
  const port = await listen(readsBody);
  const connection = await open(port);
  connection.send(head('GET', '/v2', { connection: 'close' }));
  expect(await connection.ended).toBe('FIN');
  // It stays half open.
  await port.drain(60_000);
  expect(connection.codes).toEqual([200]);
});

/** Asks again and again over keep-alive connections, and counts how each request ended. */
function startLanes(port: HttpPort, count: number): { outcomes: Map<string, number>; stop(): Promise<void> } {
  const agent = new Agent({ keepAlive: true, maxSockets: count });
  onTestFinished(() => agent.destroy());
  const outcomes = new Map<string, number>();
  let isStopped = false;
  const ask = (): Promise<string> =>
    new Promise((resolve) => {
      const asked = request({ port: port.port, host: '127.0.0.1', path: '/v2', agent }, (answer) => {
        answer.resume();
        answer.once('end', () => resolve(String(answer.statusCode)));
        answer.once('error', ({ message }) => resolve(`cut: ${message}`));
      });
      asked.once('error', ({ code, message }: NodeJS.ErrnoException) =>
        resolve(code === 'ECONNREFUSED' ? code : `${code} ${message}${asked.reusedSocket ? ', reused' : ''}`),
      );
      asked.end();
    });
  const lanes = Array.from({ length: count }, async () => {
    while (!isStopped) {
      const outcome = await ask();
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (outcome === 'ECONNREFUSED') return;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  });
  return {
    outcomes,
    stop: async () => {
      isStopped = true;
      await Promise.all(lanes);
    },
  };
}

test('keep-alive clients that go on asking see no failure on a connection that they use again', async () => {
  const port = await listen(readsBody);
  const lanes = startLanes(port, 4);
  await vi.waitUntil(() => (lanes.outcomes.get('200') ?? 0) > 100);
  port.announceEnd();
  await new Promise((resolve) => setTimeout(resolve, 200));
  await port.drain(10_000);
  await port.close(200);
  await lanes.stop();
  const failures = [...lanes.outcomes.keys()].filter((outcome) => outcome !== '200' && outcome !== 'ECONNREFUSED');
  // A connection that is opened as the listener closes may be reset: no server can prevent it, and clients open another.
  expect(failures.filter((outcome) => outcome.endsWith('reused') || outcome.startsWith('cut'))).toEqual([]);
});
