/**
 * Calls of web pages from other origins (CORS, https://fetch.spec.whatwg.org).
 *
 * CROSS-1: a page of another origin reads an answer only where the setting `corsOrigins` lists its origin.
 * CROSS-2: a page of another origin changes nothing, whatever the setting lists.
 * CROSS-3: a server that only this machine reaches is changed by pages under an address or `localhost` only. The owner of another name
 *          may have it lead here once a page has come from there (DNS rebinding); to the browser that page is of the server's origin.
 */

import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { InferError } from '../../errors.ts';
import { errorAnswer, type HttpAnswer } from '../http/http-answer.ts';

/** Stands for every origin. */
export const ANY_ORIGIN = '*';

/** Headers of answers that pages may read, besides those that they always may. */
const EXPOSED = 'inference-header-content-length, retry-after, retry-after-ms, endpoint-load-metrics';
/** Browsers keep permissions no longer than two hours. */
const MAX_AGE_S = 7_200;

/** Names that always lead to the machine itself (RFC 6761, section 6.3). */
const LOCALHOST = /^(.+\.)?localhost$/i;
/** Addresses that only the machine itself reaches (RFC 6890). */
const LOOPBACK = /^(127(\.\d+){3}|::1)$/;

export class CrossOrigin {
  readonly #origins: ReadonlySet<string>;
  readonly #isForThisMachine: boolean;

  /**
   * @param origins such as `https://app.example.com`; none: no other page may read anything
   * @param host on which the server listens
   */
  constructor(origins: readonly string[], host: string) {
    this.#origins = new Set(origins);
    this.#isForThisMachine = LOCALHOST.test(host) || LOOPBACK.test(host);
  }

  /** Whether any page of another origin may read anything. */
  get isOn(): boolean {
    return this.#origins.size > 0;
  }

  /** The headers that let the page of a request read its answer. Caches keep an answer for each origin (`vary`). */
  headersFor({ headers }: IncomingMessage): Readonly<Record<string, string>> {
    if (!this.isOn) return {};
    const allowed = this.#allowed(headers.origin);
    const vary: Readonly<Record<string, string>> = this.#origins.has(ANY_ORIGIN) ? {} : { vary: 'origin' };
    return allowed === undefined
      ? vary
      : { ...vary, 'access-control-allow-origin': allowed, 'access-control-expose-headers': EXPOSED };
  }

  /**
   * The answer to a browser that asks whether a call is allowed, before it sends it.
   * @param methods that the path offers to pages of other origins
   * @returns `undefined` where the request asks no such thing, or no origin is allowed at all
   */
  preflight({ method, headers }: IncomingMessage, methods: readonly string[]): HttpAnswer | undefined {
    const wanted = headers['access-control-request-method'];
    if (method !== 'OPTIONS' || wanted === undefined || headers.origin === undefined || !this.isOn) {
      return undefined;
    }
    const vary = { vary: 'origin, access-control-request-headers' };
    const allowed = this.#allowed(headers.origin);
    if (allowed === undefined || !methods.includes(wanted)) {
      const what = allowed === undefined ? `of ${headers.origin} (corsOrigins)` : `that call ${wanted} here`;
      const refused = errorAnswer(403, `this path is not for web pages ${what}`);
      return { ...refused, headers: { ...refused.headers, ...vary } };
    }
    const asked = headers['access-control-request-headers'];
    return {
      code: 200,
      chunks: [],
      headers: {
        ...vary,
        'access-control-allow-origin': allowed,
        'access-control-allow-methods': methods.join(', '),
        ...(asked !== undefined && { 'access-control-allow-headers': asked }),
        'access-control-max-age': String(MAX_AGE_S),
      },
    };
  }

  /** Refuses a call that changes the server where a page makes it that must not (CROSS-2, CROSS-3). @throws InferError */
  refuseControl(rpc: string, { headers }: IncomingMessage): void {
    const { origin, host, 'sec-fetch-site': site } = headers;
    // Scripts cannot set either header.
    if (origin === undefined) return;
    if (site !== 'same-origin' && !isOriginOf(origin, host)) {
      const text = `${rpc} is not for web pages of another origin, got '${origin.slice(0, 100)}': call it from the page of this server, or from outside a browser`;
      throw new InferError('permission_denied', text);
    }
    const name = nameIn(host);
    if (!this.#isForThisMachine || !isRebindable(name)) return;
    const text = `${rpc} is for web pages under localhost or an address, got '${name.slice(0, 100)}': the server listens on this machine only`;
    throw new InferError('permission_denied', text);
  }

  #allowed(origin: string | undefined): string | undefined {
    if (this.#origins.has(ANY_ORIGIN)) return ANY_ORIGIN;
    return origin !== undefined && this.#origins.has(origin) ? origin : undefined;
  }
}

function isOriginOf(origin: string, host: string | undefined): boolean {
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

/** The name in a `Host` header, without its port. */
function nameIn(host = ''): string {
  return URL.parse(`http://${host}`)?.hostname ?? host;
}

/** Whether someone decides where the name leads. */
function isRebindable(name: string): boolean {
  return !LOCALHOST.test(name) && isIP(name.replace(/^\[|\]$/g, '')) === 0;
}
