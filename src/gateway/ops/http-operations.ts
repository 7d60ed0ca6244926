/** The HTTP port: `/livez`, `/readyz` and `/metrics` for operators, and REST under `/v2` where it is on. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { boundedText } from '../accept/call.ts';
import { diagnostics } from './diagnostics.ts';

export interface OperationsOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Why the server is not ready; empty when it is. */
  readonly ready: () => readonly string[];
  /** Prometheus's text format. */
  readonly metricsText: () => Promise<string>;
  /** Answers what begins with `/v2`, and never rejects; absent where REST is off. */
  readonly rest?: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
}

export interface Operations {
  readonly port: number;
  /** Closes the listener and every connection. */
  close(): Promise<void>;
}

interface Page {
  readonly code: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const PATHS = ['/livez', '/readyz', '/metrics'] as const;
/** Prometheus's text format, version 0.0.4. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Whoever reaches the port may be slow or many; none of it may cost the gateway more than this. */
const MAX_CONNECTIONS = 128;
const MAX_REST_CONNECTIONS = 1_024;
const MAX_HEADER_BYTES = 8_192;
/** For the head of a request to come, and for a connection that neither sends nor takes anything. */
const PATIENCE_MS = 10_000;
/** For a whole request: tensors come over slow lines too. */
const REQUEST_PATIENCE_MS = 60_000;
const KEEP_ALIVE_MS = 65_000;

/**
 * Starts to listen. That it answers at all is what `/livez` says.
 * @throws Error of the operating system where it cannot, with a message that names the setting
 */
export async function listenOperations({
  host,
  port,
  ready,
  metricsText,
  rest,
}: OperationsOptions): Promise<Operations> {
  let collecting: Promise<string> | undefined;
  /** However many ask at the same moment: one collection. */
  const collect = (): Promise<string> => {
    collecting ??= metricsText().finally(() => {
      collecting = undefined;
    });
    return collecting;
  };
  const pages: Readonly<Record<(typeof PATHS)[number], () => Page | Promise<Page>>> = {
    '/livez': () => ({ code: 200, text: 'live\n' }),
    '/readyz': () => {
      const reasons = ready();
      return reasons.length === 0
        ? { code: 200, text: 'ready\n' }
        : { code: 503, text: reasons.map((reason) => `${boundedText(reason)}\n`).join('') };
    },
    '/metrics': async () => ({ code: 200, text: await collect(), headers: { 'content-type': METRICS_TYPE } }),
  };

  const answer = async ({ method, url = '' }: IncomingMessage): Promise<Page> => {
    if (method !== 'GET' && method !== 'HEAD') {
      return { code: 405, text: 'only GET and HEAD\n', headers: { allow: 'GET, HEAD' } };
    }
    // Not parsed as a URL: what does not begin with a known path is unknown, however malformed.
    const path = PATHS.find((known) => known === url.split('?', 1)[0]);
    return path === undefined ? { code: 404, text: `there is ${PATHS.join(', ')}\n` } : pages[path]();
  };
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (rest !== undefined && /^\/v2(\/|\?|$)/.test(request.url ?? '')) {
      await rest(request, response);
      return;
    }
    const { code, text, headers } = await answer(request).catch((cause: unknown): Page => {
      diagnostics.notice.publish({ level: 'error', text: `${request.method} ${request.url} failed`, cause });
      return { code: 500, text: 'internal error\n' };
    });
    response.writeHead(code, {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': Buffer.byteLength(text),
      'cache-control': 'no-store',
      // A body may follow: the connection ends rather than carry it.
      ...(code === 405 && { connection: 'close' }),
      ...headers,
    });
    response.end(text);
  };

  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: PATIENCE_MS,
      requestTimeout: rest === undefined ? PATIENCE_MS : REQUEST_PATIENCE_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => {
      respond(request, response).catch((cause: unknown) => {
        diagnostics.notice.publish({ level: 'error', text: `${request.method} ${request.url} failed`, cause });
        response.destroy();
      });
    },
  );
  server.maxConnections = rest === undefined ? MAX_CONNECTIONS : MAX_REST_CONNECTIONS;
  // A connection that takes nothing of its answer is closed too, at the second look.
  server.setTimeout(PATIENCE_MS);
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: ReturnType<typeof createServer>, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${error.code})`;
      error.message = `${host}:${port} ${why}: choose another with --http-port or --host`;
      reject(error);
    });
    server.listen({ host, port }, () => {
      server.on('error', (cause) => {
        diagnostics.notice.publish({ level: 'warn', text: 'a connection could not be accepted', cause });
      });
      resolve();
    });
  });
}
