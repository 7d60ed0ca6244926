import { EventEmitter, once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { context, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { InferenceClient, type Interceptor, tensor } from '../../src/client/inference-client.ts';
import { encodeRichStatus } from '../../src/wire/error-details.ts';
import { hasOpenssl, makeAuthority, makeCertificate } from '../http2/certificates.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { type Message, SERVICE, startFakeServer, toEcho, type UnaryHandler } from './fake-server.ts';

const INPUTS = { x: tensor.int8([1], [1]) };
const echo: UnaryHandler = ({ request }, reply) => reply(null, toEcho(request));
let server: Server | undefined;

afterEach(() => server?.forceShutdown());

async function serve(methods: Parameters<typeof startFakeServer>[0]): Promise<string> {
  const started = await startFakeServer(methods);
  server = started.server;
  return started.target;
}

describe('interceptors', () => {
  test('run around the call, the first outermost, and may change its metadata', async () => {
    let seen: unknown;
    const target = await serve({
      ModelInfer: ({ request, metadata }: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) => {
        seen = metadata.get('authorization');
        reply(null, toEcho(request));
      },
    });
    const log: string[] = [];
    const note =
      (name: string): Interceptor =>
      async (call, next) => {
        log.push(`${name} ${call.method} ${call.model}`);
        await next({ ...call, metadata: { ...call.metadata, authorization: `Bearer ${name}` } });
        log.push(`${name} ends`);
      };
    await using client = new InferenceClient(target, { interceptors: [note('outer'), note('inner')] });
    await client.infer('m', INPUTS);
    expect(log).toEqual(['outer ModelInfer m', 'inner ModelInfer m', 'inner ends', 'outer ends']);
    expect(seen).toEqual(['Bearer inner']);
  });

  test('see the failure of a call, and may fail it before it is sent', async () => {
    const target = await serve({ ModelInfer: (_call: unknown, reply: sendUnaryData<Message>) => reply({ code: 5 }) });
    const codes: unknown[] = [];
    await using watched = new InferenceClient(target, {
      interceptors: [
        (call, next) =>
          next(call).catch((error) => {
            codes.push(error.status);
            throw error;
          }),
      ],
    });
    await expect(watched.infer('m', INPUTS)).rejects.toMatchObject({ status: 'NOT_FOUND' });
    expect(codes).toEqual(['NOT_FOUND']);
    await using barred = new InferenceClient(target, { interceptors: [() => Promise.reject(new Error('no token'))] });
    await expect(barred.infer('m', INPUTS)).rejects.toThrow('no token');
    await expect(barred.stream([]).next()).rejects.toThrow('no token');
    await using silent = new InferenceClient(target, { interceptors: [() => Promise.resolve()] });
    await expect(silent.infer('m', INPUTS)).rejects.toThrow('an interceptor resolved without a call of next');
    await expect(silent.stream([]).next()).rejects.toThrow('an interceptor resolved without a call of next');
  });

  test('run around a stream until it has ended', async () => {
    const target = await serve({
      ModelStreamInfer: (call: ServerDuplexStream<Message, Message>) => {
        call.on('data', (request: Message) => call.write({ infer_response: toEcho(request) }));
        call.on('end', () => call.end());
      },
    });
    const log: string[] = [];
    await using client = new InferenceClient(target, {
      interceptors: [
        async (call, next) => {
          await next(call);
          log.push(`${call.method} ended`);
        },
      ],
    });
    for await (const { kind } of client.stream([{ model: 'm', inputs: INPUTS }])) log.push(kind);
    expect(log).toEqual(['result', 'ModelStreamInfer ended']);
  });
});

test('the trace context that is active goes with the call', async () => {
  let traceparent: unknown;
  const target = await serve({
    ModelInfer: ({ request, metadata }: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) => {
      traceparent = metadata.get('traceparent')[0];
      reply(null, toEcho(request));
    },
  });
  await using client = new InferenceClient(target);
  await client.infer('m', INPUTS);
  expect(traceparent).toBeUndefined();

  const spanContext = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 };
  const active = trace.setSpanContext(ROOT_CONTEXT, spanContext);
  context.setGlobalContextManager({
    active: () => active,
    with: (_context, run, self, ...args) => run.apply(self as ThisParameterType<typeof run>, args),
    bind: (_context, target) => target,
    enable() {
      return this;
    },
    disable() {
      return this;
    },
  });
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  onTestFinished(() => {
    context.disable();
    propagation.disable();
  });
  await client.infer('m', INPUTS);
  expect(traceparent).toBe('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
});

test('a failure has the reason, the wait and the fields that the server says', async () => {
  const metadata = new Metadata();
  const details = encodeRichStatus({
    code: status.INVALID_ARGUMENT,
    message: 'no',
    domain: 'tensorgate',
    reason: 'invalid_request',
    retryDelayMs: 1_250,
    fieldViolations: [{ field: 'inputs.x.shape', description: 'expected [1]' }],
  });
  metadata.set('grpc-status-details-bin', Buffer.from(details));
  const target = await serve({
    ModelInfer: (_call: unknown, reply: sendUnaryData<Message>) =>
      reply({ code: status.INVALID_ARGUMENT, details: 'no', metadata }),
  });
  await using client = new InferenceClient(target);
  await expect(client.infer('m', INPUTS)).rejects.toMatchObject({
    message: '[INVALID_ARGUMENT] m: no',
    reason: 'invalid_request',
    pushbackMs: 1_250,
    fieldViolations: [{ field: 'inputs.x.shape', description: 'expected [1]' }],
  });
});

test.each([Buffer.from([0xff]), Buffer.from('no message at all')])(
  'details that are no message leave the status and the text: %s',
  async (bytes) => {
    const metadata = new Metadata();
    metadata.set('grpc-status-details-bin', bytes);
    const target = await serve({
      ModelInfer: (_call: unknown, reply: sendUnaryData<Message>) =>
        reply({ code: status.INTERNAL, details: 'no', metadata }),
    });
    await using client = new InferenceClient(target);
    await expect(client.infer('m', INPUTS)).rejects.toMatchObject({
      status: 'INTERNAL',
      details: 'no',
      reason: undefined,
    });
  },
);

describe('ready', () => {
  test('is false while the server cannot be reached, and waitUntilReady resolves when it is ready', async () => {
    const answers = [false, false, true];
    const gone = await serve({});
    await using client = new InferenceClient(gone);
    server?.forceShutdown();
    expect(await client.ready()).toBe(false);
    await expect(client.waitUntilReady({ deadlineMs: 60 })).rejects.toMatchObject({
      status: 'DEADLINE_EXCEEDED',
      details: 'not ready after 60 ms',
    });
    const target = await serve({
      ModelReady: (_call: unknown, reply: sendUnaryData<Message>) => reply(null, { ready: answers.shift() }),
    });
    await using other = new InferenceClient(target);
    await other.waitUntilReady({ model: 'm', deadlineMs: 20_000 });
    expect(answers).toEqual([]);
  });

  test('waitUntilReady ends when its signal is aborted', async () => {
    const aborter = new AbortController();
    const asked = new EventEmitter();
    const target = await serve({
      ServerReady: (_call: unknown, reply: sendUnaryData<Message>) => {
        reply(null, { ready: false });
        asked.emit('asked');
      },
    });
    await using client = new InferenceClient(target);
    const first = once(asked, 'asked');
    const waiting = client.waitUntilReady({ signal: aborter.signal }).catch((error) => error);
    await first;
    aborter.abort('enough');
    expect(await waiting).toMatchObject({ status: 'CANCELLED', cause: 'enough' });
  });
});

test('await using waits for the calls under way', async () => {
  let answer = (): void => {};
  const started = new EventEmitter();
  const target = await serve({
    ModelInfer: (call: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) => {
      answer = () => echo(call, reply);
      started.emit('call');
    },
  });
  const first = once(started, 'call');
  let call: Promise<unknown> | undefined;
  const block = (async () => {
    await using client = new InferenceClient(target);
    call = client.infer('m', INPUTS);
    await first;
    setImmediate(() => answer());
  })();
  await block;
  expect(await call).toMatchObject({ modelName: 'm' });
});

test.skipIf(!hasOpenssl())('tls takes paths of PEM files, and PEM itself, for TLS and mTLS', async () => {
  const directory = temporaryDirectory();
  const root = makeAuthority(directory, 'root');
  const own = makeCertificate(directory, 'server', root);
  const caller = makeCertificate(directory, 'caller', root);
  const read = (file: string): Buffer => fs.readFileSync(file);
  const secure = new Server();
  secure.addService(SERVICE, { ModelInfer: echo });
  const keys = [{ cert_chain: read(own.certificate), private_key: read(own.privateKey) }];
  const credentials = ServerCredentials.createSsl(read(root.certificate), keys, true);
  const port = await new Promise<number>((resolve, reject) => {
    secure.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  server = secure;
  const paths = { ca: root.certificate, cert: caller.certificate, key: caller.privateKey };
  const texts = {
    ca: read(root.certificate).toString(),
    cert: read(caller.certificate),
    key: read(caller.privateKey).toString(),
  };
  for (const tls of [paths, texts]) {
    for (const address of [`localhost:${port}`, `grpcs://localhost:${port}`]) {
      await using client = new InferenceClient(address, { tls, deadlineMs: 20_000 });
      expect((await client.infer('m', INPUTS)).modelName).toBe('m');
    }
  }
  const missing = path.join(directory, 'missing.pem');
  expect(() => new InferenceClient('a:1', { tls: { ca: missing } })).toThrow(
    `tls.ca: cannot read '${missing}': ENOENT`,
  );
  fs.writeFileSync(missing, 'text');
  expect(() => new InferenceClient('a:1', { tls: { ca: missing } })).toThrow(`'${missing}' is not a PEM file`);
  expect(() => new InferenceClient('a:1', { tls: { ca: Buffer.from('x') } })).toThrow('tls.ca is not PEM');
  expect(() => new InferenceClient('a:1', { tls: { cert: caller.certificate } })).toThrow(
    'tls.cert and tls.key go together',
  );
  expect(() => new InferenceClient('grpc://a:1', { tls: {} })).toThrow(
    'grpc://a:1 is cleartext, but the option tls is given',
  );
});
