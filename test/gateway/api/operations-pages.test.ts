import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type HttpPort, listenHttp } from '../../../src/gateway/accept/http/http-port.ts';
import { operationsPages } from '../../../src/gateway/api/operations-pages.ts';
import { DEFAULT_HTTP_LIMITS } from '../../../src/gateway/ops/http-limits.ts';

let reasons: readonly string[];
let metricsText: () => Promise<string>;
let operations: HttpPort;

beforeEach(async () => {
  reasons = [];
  metricsText = async () => 'up 1\n';
  operations = await listenHttp({
    host: '127.0.0.1',
    port: 0,
    limits: DEFAULT_HTTP_LIMITS,
    pages: operationsPages({ ready: () => reasons, metricsText: () => metricsText() }),
  });
});

afterEach(() => operations.close(0));

function get(path: string, options: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${operations.port}${path}`, options);
}

/** What the server answers to bytes, until it ends the connection. */
function sendRaw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(operations.port, '127.0.0.1', () => socket.write(bytes));
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('end', () => resolve(answer));
    socket.on('error', reject);
  });
}

test('/livez answers', async () => {
  const response = await get('/livez');
  expect([response.status, await response.text()]).toEqual([200, 'live\n']);
});

test('/readyz says yes, or why not, a line for each reason', async () => {
  const ready = await get('/readyz');
  expect([ready.status, await ready.text()]).toEqual([200, 'ready\n']);
  reasons = ['models are being loaded', 'model resnet version 3 is LOADING: reading\nweights'];
  const unready = await get('/readyz');
  expect(unready.status).toBe(503);
  expect(await unready.text()).toBe('models are being loaded\nmodel resnet version 3 is LOADING: reading weights\n');
});

test('/metrics has the type that Prometheus asks for', async () => {
  const response = await get('/metrics?scraper=one');
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect([response.status, await response.text()]).toEqual([200, 'up 1\n']);
});

test('scrapes at the same moment share one collection', async () => {
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
  const { promise: text, resolve: finish } = Promise.withResolvers<string>();
  let collections = 0;
  metricsText = () => {
    collections++;
    arrive();
    return text;
  };
  const first = get('/metrics');
  await arrived;
  const second = get('/metrics');
  await get('/livez');
  finish('up 1\n');
  expect(await Promise.all([first, second].map(async (response) => (await response).text()))).toEqual([
    'up 1\n',
    'up 1\n',
  ]);
  expect(collections).toBe(1);
  metricsText = async () => 'up 2\n';
  expect(await (await get('/metrics')).text()).toBe('up 2\n');
});

test('metrics that cannot be collected fail only this request', async () => {
  metricsText = () => Promise.reject(new Error('secret detail'));
  const response = await get('/metrics');
  expect([response.status, await response.text()]).toEqual([500, 'internal error\n']);
  expect((await get('/livez')).status).toBe(200);
});

test('HEAD is GET without the body', async () => {
  reasons = ['no'];
  const response = await get('/readyz', { method: 'HEAD' });
  expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([503, '3', '']);
});

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is refused with what is allowed', async (method) => {
  const response = await get('/metrics', { method });
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
});

test.each(['/', '/metrics/', '/metrics/../livez/x', '/constructor', '/__proto__', '/%2e%2e/%zz', '//[', '/livez%00'])(
  '%s is not found, and the answer says what there is',
  async (path) => {
    const answer = await sendRaw(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    expect(answer).toContain('/livez, /readyz, /metrics');
  },
);

test.each([
  ['no HTTP', 'hello\r\n\r\n', 400],
  ['a target that is no URL', 'GET http://[ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 404],
  ['headers without end', `GET /livez HTTP/1.1\r\nx: ${'y'.repeat(70_000)}`, 431],
])('%s is refused, and the server lives', async (_, bytes, status) => {
  expect(await sendRaw(bytes)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect((await get('/livez')).status).toBe(200);
});

test('closing ends connections that are idle and those that never take their answer', async () => {
  metricsText = async () => 'x'.repeat(64 * 2 ** 20);
  const reader: Socket = connect(operations.port, '127.0.0.1');
  reader.pause();
  reader.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
  const idle: Socket = connect(operations.port, '127.0.0.1');
  await new Promise((resolve) => idle.once('connect', resolve));
  await get('/livez');
  const ended = [reader, idle].map(
    (socket) => new Promise((resolve) => socket.on('error', () => {}).once('close', resolve)),
  );
  await operations.close(0);
  reader.resume();
  await Promise.all(ended);
  await expect(get('/livez')).rejects.toThrow();
});

test('a connection serves several requests', async () => {
  const answer = await sendRaw(
    'GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  );
  expect(answer.match(/^HTTP\/1\.1 200 /gm)).toHaveLength(2);
});

test('a request with a body is answered without reading it', async () => {
  const status = await new Promise((resolve, reject) => {
    const post = request({ port: operations.port, host: '127.0.0.1', path: '/metrics', method: 'POST' }, (response) => {
      resolve(response.statusCode);
      response.resume();
      post.destroy();
    });
    post.on('error', reject);
    // It never ends.
    post.write('x'.repeat(1_000));
  });
  expect(status).toBe(405);
});
