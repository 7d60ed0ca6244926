/** Calls of web pages over REST: pages of this server, of listed origins, and of any other. */

import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { CrossOrigin } from '../../src/gateway/accept/rest/cross-origin.ts';
import { identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';

const LISTED = 'https://app.example.com';
const OTHER = 'https://evil.example.com';

const fixture = useServer(
  { same: identityModel('FP32') },
  {
    flags: [
      '--log-level',
      'error',
      '--model-control-mode',
      'explicit',
      '--load-model',
      'same',
      '--cors-origins',
      LISTED,
    ],
  },
);

async function call(method: string, path: string, headers: Record<string, string>, body?: string) {
  const { http } = fixture.server;
  const response = await fetch(`${http}${path}`, { method, headers, ...(body !== undefined && { body }) });
  const { status } = response;
  return { status, headers: response.headers, text: await response.text() };
}

const INFER = '/v2/models/same/infer';
const LOAD = '/v2/repository/models/same/load';
const BODY = JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] });

describe('a page of a listed origin', () => {
  test.each([INFER, '/v1/embeddings', '/tokenize', '/detokenize'])('may ask for %s, with any headers', async (path) => {
    const asked = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,x-own' };
    const { status, headers } = await call('OPTIONS', path, { origin: LISTED, ...asked });
    expect(status).toBe(200);
    expect(headers.get('access-control-allow-origin')).toBe(LISTED);
    expect(headers.get('access-control-allow-methods')).toBe('POST');
    expect(headers.get('access-control-allow-headers')).toBe('content-type,x-own');
    expect(headers.get('vary')).toContain('origin');
  });

  test('may read answers, and errors', async () => {
    const answered = await call('GET', '/v2/models/same', { origin: LISTED });
    expect([answered.status, answered.headers.get('access-control-allow-origin')]).toEqual([200, LISTED]);
    const failed = await call('POST', '/v1/embeddings', { origin: LISTED }, '{}');
    expect([failed.status, failed.headers.get('access-control-allow-origin')]).toEqual([400, LISTED]);
    expect(failed.headers.get('access-control-expose-headers')).toContain('retry-after');
  });

  test('loads no model, whether it asks first or not', async () => {
    const asked = await call('OPTIONS', LOAD, { origin: LISTED, 'access-control-request-method': 'POST' });
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([403, null]);
    const { status, text } = await call('POST', LOAD, { origin: LISTED, 'content-type': 'text/plain' }, '{}');
    expect(status).toBe(403);
    expect(JSON.parse(text)).toMatchObject({ reason: 'permission_denied' });
    expect(text).toContain(`RepositoryModelLoad is not for web pages of another origin, got '${LISTED}'`);
  });
});

describe('a page of another origin', () => {
  test('reads nothing, and caches keep its answers apart', async () => {
    const { headers } = await call('GET', '/v2/models/same', { origin: OTHER });
    expect([headers.get('access-control-allow-origin'), headers.get('vary')]).toEqual([null, 'origin']);
    const asked = await call('OPTIONS', INFER, { origin: OTHER, 'access-control-request-method': 'POST' });
    expect(asked.status).toBe(403);
    expect(asked.text).toContain(`this path is not for web pages of ${OTHER} (corsOrigins)`);
  });

  test.each([LOAD, '/v2/repository/models/same/unload', '/v2/logging', '/v2/trace/setting'])(
    'does not change %s',
    async (path) => {
      for (const origin of [OTHER, 'null']) expect((await call('POST', path, { origin }, '{}')).status).toBe(403);
      expect((await call('GET', '/v2/models/same/ready', {})).status).toBe(200);
    },
  );
});

describe('the page of this server', () => {
  test('loads models, by its origin or by the word of the browser behind a proxy', async () => {
    const own = { origin: fixture.server.http };
    expect((await call('POST', LOAD, own, '{}')).status).toBe(200);
    const proxied = { origin: 'https://models.example.com', 'sec-fetch-site': 'same-origin' };
    expect((await call('POST', LOAD, proxied, '{}')).status).toBe(200);
  });
});

describe('a page whose name leads to this machine', () => {
  /** A browser on this machine that has the page from `host`, whose address was changed since. */
  async function rebound(name: string): Promise<{ readonly status: number; readonly text: string }> {
    const host = `${name}:${fixture.server.httpPort}`;
    const headers = { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin', 'content-length': 2 };
    const request = http.request(`${fixture.server.http}${LOAD}`, { method: 'POST', headers }).end('{}');
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return { status: response.statusCode ?? 0, text: await text(response) };
  }

  test.each(['evil.example.com', 'localhost.evil.example.com', '127.0.0.1.evil.example.com', 'intranet'])(
    'changes nothing as %s, where the server listens on this machine only',
    async (name) => {
      const { status, text } = await rebound(name);
      expect(status).toBe(403);
      expect(JSON.parse(text)).toMatchObject({ reason: 'permission_denied' });
      expect(text).toContain(
        `RepositoryModelLoad is for web pages under localhost or an address, got '${name}': the server listens on this`,
      );
    },
  );

  test.each(['localhost', 'LOCALHOST', 'app.localhost', '127.0.0.1', '10.1.2.3', '[::1]', '[2001:db8::1]'])(
    'loads models as %s',
    async (name) => {
      expect((await rebound(name)).status).toBe(200);
    },
  );

  test.each(['0.0.0.0', '::', '10.1.2.3', 'models.example.com'])(
    'is believed where the server listens on %s: its callers know it by any name',
    (host) => {
      const headers = { host: 'models.example.com', origin: 'https://models.example.com' };
      const own = new CrossOrigin([], host);
      expect(() => own.refuseControl('RepositoryModelLoad', { headers } as http.IncomingMessage)).not.toThrow();
    },
  );
});

test('programs load models: they name no origin', async () => {
  expect((await call('POST', LOAD, {}, '{}')).status).toBe(200);
  expect((await call('POST', INFER, {}, BODY)).status).toBe(200);
});

describe('without listed origins', () => {
  const request = { method: 'OPTIONS', headers: { origin: OTHER, 'access-control-request-method': 'POST' } };
  type Request = Parameters<CrossOrigin['headersFor']>[0];

  test('nothing is said to browsers', () => {
    const closed = new CrossOrigin([], '0.0.0.0');
    expect(closed.headersFor(request as unknown as Request)).toEqual({});
    expect(closed.preflight(request as unknown as Request, ['POST'])).toBeUndefined();
  });

  test('an asterisk allows every page', () => {
    const open = new CrossOrigin(['*'], '0.0.0.0').headersFor(request as unknown as Request);
    expect(open).toMatchObject({ 'access-control-allow-origin': '*' });
    expect(open).not.toHaveProperty('vary');
  });
});
