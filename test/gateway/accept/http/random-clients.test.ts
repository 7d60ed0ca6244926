/** The HTTP port against clients that do anything at any time: whatever they do, what they held is given back. */

import fc from 'fast-check';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { HttpAnswer, HttpHandler } from '../../../../src/gateway/accept/http/http-answer.ts';
import type { HttpPort } from '../../../../src/gateway/accept/http/http-port.ts';
import { listen, probe, readAll, text } from './http-fixture.ts';
import { head, RawConnection } from './raw-http.ts';

/** One request. Its path says how the handler answers it. */
interface Request {
  readonly kind: 'infer' | 'load' | 'page' | 'nonsense' | 'expect';
  readonly bodyBytes: number;
  /** How much of it is sent. */
  readonly share: number;
  readonly readsBody: boolean;
  readonly turns: number;
  readonly answerBytes: number;
}

type End = 'reset' | 'close' | 'wait' | 'half-close';

interface Client {
  readonly requests: readonly Request[];
  readonly reads: boolean;
  readonly turnsBeforeEnd: number;
  readonly end: End;
}

const requests: fc.Arbitrary<Request> = fc.record({
  kind: fc.constantFrom('infer', 'infer', 'infer', 'load', 'page', 'nonsense', 'expect'),
  bodyBytes: fc.constantFrom(0, 0, 10, 5_000, 200_000),
  share: fc.constantFrom(1, 1, 1, 0.5),
  readsBody: fc.boolean(),
  turns: fc.constantFrom(0, 1, 5, 50),
  answerBytes: fc.constantFrom(2, 2_000, 100_000, 600_000),
});

const clients: fc.Arbitrary<Client> = fc.record({
  requests: fc.array(requests, { minLength: 0, maxLength: 24 }),
  reads: fc.boolean(),
  turnsBeforeEnd: fc.integer({ min: 0, max: 12 }),
  end: fc.constantFrom('reset', 'close', 'wait', 'half-close'),
});

function bytesOf({ kind, bodyBytes, share, readsBody, turns, answerBytes }: Request): string {
  if (kind === 'nonsense') return 'nonsense\r\n\r\n';
  const path = kind === 'page' ? '/metrics' : `/v2/${Number(readsBody)}/${turns}/${answerBytes}/${kind}`;
  const whole =
    head('POST', path, { 'content-length': bodyBytes, ...(kind === 'expect' && { expect: '100-continue' }) }) +
    'x'.repeat(bodyBytes);
  return whole.slice(0, Math.ceil(whole.length * share));
}

const handler: HttpHandler = async (request): Promise<HttpAnswer> => {
  const [, , readsBody, turns, answerBytes] = (request.url ?? '').split('/').map(Number);
  try {
    if (readsBody === 1) await readAll(request);
  } catch {
    return text(499, 'gone');
  }
  await eventLoop(turns ?? 0);
  return { code: 200, headers: {}, chunks: [Buffer.alloc(answerBytes ?? 2)] };
};

async function eventLoop(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function play(port: HttpPort, { requests, reads, turnsBeforeEnd, end }: Client): Promise<void> {
  using connection = await RawConnection.open(port.port, { paused: !reads });
  const { socket } = connection;
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => {});
  for (const request of requests) connection.send(bytesOf(request));
  await eventLoop(turnsBeforeEnd);
  if (end === 'reset') socket.resetAndDestroy();
  else if (end === 'close') socket.destroy();
  else {
    if (!reads) connection.read();
    if (end === 'half-close') socket.end();
    // A request that is not whole is given up by the port, after its time.
    await Promise.race([connection.ended, closed, eventLoop(400)]);
    socket.destroy();
  }
  await closed;
}

test('whatever clients send, and whenever they leave, no place, connection, listener or unread answer is kept', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  const port = await listen(handler, { bodyGraceMs: 1_000 });
  await fc.assert(
    fc.asyncProperty(fc.array(clients, { minLength: 1, maxLength: 6 }), async (together) => {
      await Promise.all(together.map((client) => play(port, client)));
      await vi.waitFor(() => expect(port.gauges).toEqual({ connections: 0, requests: 0, unreadBytes: 0 }), {
        timeout: 5_000,
        interval: 2,
      });
      expect(await probe(port)).toBe(200);
    }),
    { numRuns: 150 },
  );
  expect(warnings).toEqual([]);
});
