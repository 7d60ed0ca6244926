/** A port with a handler of the test's own, and raw connections to it. All end with the test. */

import type { IncomingMessage } from 'node:http';
import { onTestFinished } from 'vitest';
import type { HttpAnswer, HttpHandler } from '../../../../src/gateway/accept/http/http-answer.ts';
import { type HttpPort, listenHttp } from '../../../../src/gateway/accept/http/http-port.ts';
import { diagnostics } from '../../../../src/gateway/ops/diagnostics.ts';
import { DEFAULT_HTTP_LIMITS, type HttpLimits } from '../../../../src/gateway/ops/http-limits.ts';
import { RawConnection, type RawOptions } from './raw-http.ts';

export const MiB = 2 ** 20;

export function text(code: number, body: string): HttpAnswer {
  return { code, headers: {}, chunks: [Buffer.from(body)] };
}

export async function readAll(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += chunk;
  return body;
}

/** Answers with the length of the body, when it has come. */
export const readsBody: HttpHandler = async (request) => {
  try {
    return text(200, String((await readAll(request)).length));
  } catch {
    return text(499, 'gone');
  }
};

export const never: HttpHandler = () => new Promise(() => {});

/** Answers with so many bytes, in two chunks. */
export function answersWith(bytes: number): HttpHandler {
  return async () => ({ code: 200, headers: {}, chunks: [Buffer.alloc(bytes / 2, 'a'), Buffer.alloc(bytes / 2, 'b')] });
}

/** Requests whose path ends with `/infer` change nothing. */
export async function listen(handle: HttpHandler, limits: Partial<HttpLimits> = {}): Promise<HttpPort> {
  const port = await listenHttp({
    host: '127.0.0.1',
    port: 0,
    limits: { ...DEFAULT_HTTP_LIMITS, ...limits },
    pages: async ({ url }) => text(200, `page ${url}`),
    rest: { handle, changesNothing: ({ url }) => url?.endsWith('/infer') === true },
  });
  onTestFinished(() => port.close(0));
  return port;
}

export async function open(port: HttpPort, options?: RawOptions): Promise<RawConnection> {
  const connection = await RawConnection.open(port.port, options);
  onTestFinished(() => connection[Symbol.dispose]());
  return connection;
}

export async function openMany(port: HttpPort, count: number, options?: RawOptions): Promise<RawConnection[]> {
  const connections: RawConnection[] = [];
  for (let index = 0; index < count; index++) connections.push(await open(port, options));
  return connections;
}

/** Reads a connection that was opened `paused`, a chunk every 2 ms. @returns how many bytes have come, when asked */
export function readSlowly({ socket }: RawConnection): () => number {
  let bytes = 0;
  socket.on('data', (chunk: string) => {
    bytes += chunk.length;
    socket.pause();
    setTimeout(() => socket.resume(), 2);
  });
  return () => bytes;
}

/** As the kubelet probes: a connection for each. */
export async function probe(port: HttpPort): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port.port}/livez`, { headers: { connection: 'close' } });
  await response.text();
  return response.status;
}

/** The settings whose limits are reached while the test runs. */
export function reachedLimits(): Set<string> {
  const reached = new Set<string>();
  onTestFinished(diagnostics.limitReached.subscribe(({ limit }) => reached.add(limit)));
  return reached;
}
