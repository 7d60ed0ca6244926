/** The pages of the HTTP port for operators: `/livez`, `/readyz` and `/metrics`. */

import type { IncomingMessage } from 'node:http';
import type { HttpAnswer, HttpHandler } from '../accept/http/http-answer.ts';
import { boundedText } from '../errors.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import { EXPOSITION_TYPES, type ExpositionFormat, endOf, formatFor } from '../ops/exposition.ts';

export interface PagesOptions {
  /** Why the server is not ready; empty when it is. */
  readonly ready: () => readonly string[];
  /** The text that Prometheus scrapes, without its last line (`endOf`). */
  readonly metricsText: (format: ExpositionFormat) => Promise<string>;
}

interface Page {
  readonly code: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const PATHS = ['/livez', '/readyz', '/metrics'] as const;

/** That it answers at all is what `/livez` says. */
export function operationsPages({ ready, metricsText }: PagesOptions): HttpHandler {
  const collecting = new Map<ExpositionFormat, Promise<string>>();
  /** However many ask at the same moment: one collection. */
  const collect = (format: ExpositionFormat): Promise<string> => {
    const collected = collecting.get(format) ?? metricsText(format).finally(() => collecting.delete(format));
    collecting.set(format, collected);
    return collected;
  };
  const pages: Readonly<Record<(typeof PATHS)[number], (request: IncomingMessage) => Page | Promise<Page>>> = {
    '/livez': () => ({ code: 200, text: 'live\n' }),
    '/readyz': () => {
      const reasons = ready();
      return reasons.length === 0
        ? { code: 200, text: 'ready\n' }
        : { code: 503, text: reasons.map((reason) => `${boundedText(reason)}\n`).join('') };
    },
    '/metrics': async ({ headers }) => {
      const format = formatFor(headers.accept);
      const text = `${await collect(format)}${endOf(format)}`;
      return { code: 200, text, headers: { 'content-type': EXPOSITION_TYPES[format] } };
    },
  };

  const pageOf = async (request: IncomingMessage): Promise<Page> => {
    const { method, url = '' } = request;
    if (method !== 'GET' && method !== 'HEAD') {
      return { code: 405, text: 'only GET and HEAD\n', headers: { allow: 'GET, HEAD' } };
    }
    // Not parsed as a URL: what does not begin with a known path is unknown, however malformed.
    const path = PATHS.find((known) => known === url.split('?', 1)[0]);
    return path === undefined ? { code: 404, text: `there is ${PATHS.join(', ')}\n` } : pages[path](request);
  };
  return async (request): Promise<HttpAnswer> => {
    const { code, text, headers } = await pageOf(request).catch((cause: unknown): Page => {
      diagnostics.notice.publish({ level: 'error', text: `${request.method} ${request.url} failed`, cause });
      return { code: 500, text: 'internal error\n' };
    });
    return {
      code,
      headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
      chunks: [Buffer.from(text)],
    };
  };
}
