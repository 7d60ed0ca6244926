/** The page at `/`, its files, its snapshot and its event stream. Nothing here changes the server. */

import fs from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { errorAnswer, type HttpAnswer, type HttpHandler } from '../http/http-answer.ts';
import { EventStream } from './event-stream.ts';
import type { PageApi } from './snapshot.ts';

/** Where the files of the page lie: beside this one, in the sources and in the package. */
const FILES = fileURLToPath(new URL('static/', import.meta.url));
const NAME = /^\/page\/([a-z-]+\.(js|css))$/;
const TYPES = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
};

/** No script and no style but ours, and no frame around the page: names and reasons on it are other people's text. */
const SECURITY = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};
const JSON_HEADERS = { ...SECURITY, 'content-type': 'application/json' };
const STREAM_HEADERS = { ...SECURITY, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' };
/** Room that an event which waits for its reader takes. */
const HELD_BYTES = 64 * 1024;
/** Sent at once, so that the browser knows that it is connected. */
const HELLO = Buffer.from('retry: 5000\n\n');
/** However many ask: one snapshot in that time. */
const FRESH_MS = 500;

export class PageServer {
  readonly #api: PageApi;
  readonly #otherwise: HttpHandler;
  readonly #stream: EventStream;
  readonly #files = new Map<string, Promise<Buffer>>();
  #snapshot: { readonly atMs: number; readonly bytes: Promise<Buffer> } | undefined;

  /** @param otherwise answers every other path */
  constructor(api: PageApi, otherwise: HttpHandler) {
    this.#api = api;
    this.#otherwise = otherwise;
    this.#stream = new EventStream(api);
  }

  /** Open event streams. */
  get watchers(): number {
    return this.#stream.watchers;
  }

  readonly handle: HttpHandler = async (request, response, wayBack) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (path !== '/' && !path.startsWith('/page/')) return this.#otherwise(request, response, wayBack);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const answer = errorAnswer(405, 'Method Not Allowed');
      return { ...answer, headers: { ...answer.headers, allow: 'GET, HEAD' } };
    }
    if (path === '/') return this.#file('index.html', 'html');
    if (path === '/page/snapshot') return { code: 200, headers: JSON_HEADERS, chunks: [await this.#recentSnapshot()] };
    if (path === '/page/events') return this.#events(request.method);
    const [, name, type] = NAME.exec(path) ?? [];
    return name === undefined ? errorAnswer(404, 'Not Found') : this.#file(name, type as 'js' | 'css');
  };

  /** Ends the event streams: the server drains. */
  end(): void {
    this.#stream.end();
  }

  async #file(name: string, type: keyof typeof TYPES): Promise<HttpAnswer> {
    const known = this.#files.get(name) ?? fs.readFile(`${FILES}${name}`);
    try {
      const bytes = await known;
      // Only names of files that exist are remembered.
      this.#files.set(name, known);
      return { code: 200, headers: { ...SECURITY, 'content-type': TYPES[type] }, chunks: [bytes] };
    } catch {
      return errorAnswer(404, 'Not Found');
    }
  }

  #recentSnapshot(): Promise<Buffer> {
    const atMs = performance.now();
    if (this.#snapshot === undefined || atMs - this.#snapshot.atMs > FRESH_MS) {
      const bytes = this.#api.snapshot().then((snapshot) => Buffer.from(JSON.stringify(snapshot)));
      this.#snapshot = { atMs, bytes };
    }
    return this.#snapshot.bytes;
  }

  #events(method: string): HttpAnswer {
    if (method === 'HEAD') return { code: 200, headers: STREAM_HEADERS, chunks: [] };
    const chunks = this.#stream.open();
    if (chunks === undefined)
      return errorAnswer(503, 'too many pages watch this server, or it ends: ask for /page/snapshot');
    return { code: 200, headers: STREAM_HEADERS, chunks: [HELLO], rest: { chunks, heldBytes: HELD_BYTES } };
  }
}
