/** What every transport must do: the behaviour of `Listen`, `Transport` and `Call`, seen by a stock gRPC client. */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type {
  CancelReason,
  Listen,
  Method,
  StreamingCall,
  Transport,
  TransportOptions,
  UnaryCall,
} from '../../../src/gateway/accept/call.ts';
import { failWith } from '../../../src/gateway/accept/failure.ts';
import { InferError, Status } from '../../../src/gateway/errors.ts';
import { type CallEnded, diagnostics, type Notice } from '../../../src/gateway/ops/diagnostics.ts';
import { farAway } from '../../support/far-away.ts';
import { TRANSPORT_OPTIONS } from '../../support/transport-options.ts';
import { collect, RawClient, type UnaryOutcome } from './raw-client.ts';

const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;

const OPTIONS: TransportOptions = {
  ...TRANSPORT_OPTIONS,
  maxMessageBytes: MAX_MESSAGE_BYTES,
  maxConcurrentStreams: 2_000,
};

export function describeTransport(name: string, listen: Listen): void {
  describe(`the transport ${name}`, () => {
    let transport: Transport | undefined;
    let client: RawClient;

    /** Starts a server with the method at `/test.Service/Method`, and a client for it. */
    async function serve(method: Method, options: Partial<TransportOptions> = {}): Promise<number> {
      transport = await listen({ ...OPTIONS, ...options }, new Map([[METHOD, method]]));
      client = new RawClient(transport.port);
      return transport.port;
    }

    beforeEach(() => {
      transport = undefined;
    });

    afterEach(async () => {
      client?.close();
      await transport?.drain(0);
    });

    describe('unary calls', () => {
      test.each([0, 1, 16_383, 16_384, 16_385, 65_536, 4 * 1024 * 1024, MAX_MESSAGE_BYTES])(
        'a message of %i bytes arrives as it was sent, both ways',
        async (size) => {
          await serve(echo);
          const message = randomBytes(size);
          const outcome = await client.unary(METHOD, message);
          expect(outcome.status).toBe('OK');
          expect(outcome.message?.equals(message)).toBe(true);
        },
      );

      test('the chunks of a reply are joined into one message', async () => {
        const chunks = [Buffer.from('head'), new Uint8Array(0), randomBytes(100_000), new Uint8Array([1, 2, 3])];
        await serve({ kind: 'unary', handle: (call) => call.reply(chunks) });
        const { message } = await client.unary(METHOD, NOTHING);
        expect(message?.equals(Buffer.concat(chunks))).toBe(true);
      });

      test('a message over the limit is RESOURCE_EXHAUSTED, and the connection lives', async () => {
        await serve(echo);
        expect((await client.unary(METHOD, Buffer.alloc(MAX_MESSAGE_BYTES + 1))).status).toBe('RESOURCE_EXHAUSTED');
        expect((await client.unary(METHOD, NOTHING)).status).toBe('OK');
      });

      test('an RPC has a limit of its own, judged at the prefix and while a message is inflated, and names it', async () => {
        let handled = 0;
        const handle = (call: UnaryCall): void => {
          handled++;
          call.reply([call.message]);
        };
        const port = await serve({ kind: 'unary', maxMessageBytes: 1_000, handle });
        const most = randomBytes(1_000);
        expect((await client.unary(METHOD, most)).message?.equals(most)).toBe(true);
        expect(await sendCompressed(port, gzipSync(Buffer.alloc(1_000)))).toMatchObject({ status: '0' });
        const text = (finding: string): string =>
          `the request message of ${METHOD} ${finding}; the limit of this RPC is 1000 bytes`;
        expect(await client.unary(METHOD, randomBytes(1_001))).toMatchObject({
          status: 'RESOURCE_EXHAUSTED',
          text: text('has 1001 bytes'),
        });
        const bomb = framed(gzipSync(Buffer.alloc(1_001)), 1);
        expect(await sendRaw(port, { 'grpc-encoding': 'gzip' }, { body: bomb })).toMatchObject({
          status: String(Status.RESOURCE_EXHAUSTED),
          text: text('is longer when inflated'),
        });
        // The announced length is enough: the message itself never comes.
        expect(await sendRaw(port, {}, { body: framed(Buffer.alloc(1_001)).subarray(0, 5), open: true })).toMatchObject(
          {
            status: String(Status.RESOURCE_EXHAUSTED),
            text: text('has 1001 bytes'),
          },
        );
        expect(handled).toBe(2);
      });

      test('the limit of an RPC lifts nothing above the limit of the server, which the error names', async () => {
        await serve({ ...echo, maxMessageBytes: 2 * MAX_MESSAGE_BYTES });
        expect(await client.unary(METHOD, Buffer.alloc(MAX_MESSAGE_BYTES + 1))).toMatchObject({
          status: 'RESOURCE_EXHAUSTED',
          text: `the request message of ${METHOD} has ${MAX_MESSAGE_BYTES + 1} bytes; the limit of the server (maxMessageBytes) is ${MAX_MESSAGE_BYTES} bytes`,
        });
      });

      test('messages of a stream have the limit of its RPC', async () => {
        const seen: number[] = [];
        await serve({
          kind: 'streaming',
          maxMessageBytes: 1_000,
          handle: (call) => {
            call.onMessage = (message) => seen.push(message.length);
            call.onEnd = () => call.end();
          },
        });
        const stream = client.stream(METHOD);
        const end = collect(stream);
        stream.write(Buffer.alloc(1_000));
        stream.write(Buffer.alloc(1_001));
        expect((await end).status).toBe('RESOURCE_EXHAUSTED');
        expect(seen).toEqual([1_000]);
      });

      test('a compressed message is inflated, up to the limit', async () => {
        const port = await serve(echo);
        const message = Buffer.alloc(100_000, 'tensor');
        expect(await sendCompressed(port, gzipSync(message))).toEqual({ status: '0', body: message });
        const bomb = gzipSync(Buffer.alloc(MAX_MESSAGE_BYTES + 1));
        expect((await sendCompressed(port, bomb)).status).toBe(String(Status.RESOURCE_EXHAUSTED));
      });

      test('metadata goes in, trailers come out, as text and as bytes', async () => {
        const bytes = Buffer.from([0, 255, 128, 10]);
        let keys: string[] = [];
        await serve({
          kind: 'unary',
          handle(call) {
            keys = [...call.keys()];
            expect(call.get('absent')).toBeUndefined();
            const echoed = call.get('x-bytes-bin');
            if (!(echoed instanceof Uint8Array)) throw new TypeError('bytes expected');
            call.reply([], { 'x-text': String(call.get('x-text')), 'x-bytes-bin': new Uint8Array(echoed) });
          },
        });
        const metadata = { 'x-text': 'as it is', 'x-bytes-bin': bytes };
        const { status, trailers } = await client.unary(METHOD, NOTHING, { metadata });
        expect(status).toBe('OK');
        expect(keys).toEqual(expect.arrayContaining(['x-text', 'x-bytes-bin']));
        expect(trailers.get('x-text')).toEqual(['as it is']);
        expect(trailers.get('x-bytes-bin')).toEqual([bytes]);
      });

      test('a call that is screened out ends there, and its method does not see it', async () => {
        const seen: string[] = [];
        const ended: CallEnded[] = [];
        const unsubscribe = diagnostics.callEnded.subscribe((event) => ended.push(event));
        await serve({
          kind: 'unary',
          screen: (call) =>
            call.get('x-who') === 'friend' ? undefined : new InferError('permission_denied', `${call.path} is closed`),
          handle(call) {
            seen.push(String(call.get('x-who')));
            call.reply([call.message]);
          },
        });
        const refused = await client.unary(METHOD, randomBytes(100_000), { metadata: { 'x-who': 'foe' } });
        const taken = await client.unary(METHOD, randomBytes(100_000), { metadata: { 'x-who': 'friend' } });
        unsubscribe();
        expect(refused).toMatchObject({ status: 'PERMISSION_DENIED', text: `${METHOD} is closed` });
        expect(taken.status).toBe('OK');
        expect(seen).toEqual(['friend']);
        expect(ended.map(({ status, reason }) => [status, reason])).toEqual([
          ['PERMISSION_DENIED', 'permission_denied'],
          ['OK', undefined],
        ]);
      });

      test('a screen that throws refuses', async () => {
        await serve({
          ...echo,
          screen: () => {
            throw new TypeError('of ours');
          },
        });
        expect((await client.unary(METHOD, NOTHING)).status).toBe('INTERNAL');
      });

      test.each([
        ['padded', ['AAE='], [0, 1]],
        ['without padding', ['AAE'], [0, 1]],
        ['several in one field', ['AAE=,Ag=='], [0, 1]],
        ['several fields', ['AAE', 'Ag'], [0, 1]],
      ])('the first value of a key in bytes counts: %s', async (_, values, bytes) => {
        let seen: string | Uint8Array | undefined;
        const port = await serve({
          kind: 'unary',
          handle(call) {
            seen = call.get('x-bytes-bin');
            call.reply([]);
          },
        });
        expect((await sendRaw(port, { 'x-bytes-bin': values })).status).toBe('0');
        expect(seen).toEqual(Buffer.from(bytes));
      });

      test('a method that the server does not have is UNIMPLEMENTED, in a text that is bounded', async () => {
        await serve(echo);
        const outcome = await client.unary(`/test.Service/${'x'.repeat(30_000)}`, NOTHING);
        expect(outcome.status).toBe('UNIMPLEMENTED');
        expect(outcome.text.length).toBeLessThan(1_200);
        expect((await client.unary(METHOD, NOTHING)).status).toBe('OK');
      });

      test('a thousand calls at once are all answered, each with its own message', async () => {
        await serve(deferredEcho);
        const messages = Array.from({ length: 1_000 }, (_, index) => Buffer.from(`message ${index}`));
        const outcomes = await Promise.all(messages.map((message) => client.unary(METHOD, message)));
        expect(outcomes.map(({ message }) => message?.toString())).toEqual(messages.map(String));
      });

      test('a hundred messages of 4 MiB at once on one connection are all answered', async () => {
        const lengths: Method = {
          kind: 'unary',
          handle: (call) => call.reply([Buffer.from(String(call.message.length))]),
        };
        await serve(lengths);
        const message = Buffer.alloc(4 * 1024 * 1024, 5);
        const outcomes = await Promise.all(Array.from({ length: 100 }, () => client.unary(METHOD, message)));
        expect(outcomes.map((outcome) => String(outcome.message))).toEqual(Array(100).fill(String(message.length)));
      });

      test('a call that discards its message takes nothing from the others, nor from its answer', async () => {
        const held: UnaryCall[] = [];
        const method: Method = {
          kind: 'unary',
          handle: (call) => {
            held.push(call);
            if (held.length < 40) return;
            for (const each of held.splice(0)) {
              each.reply([Buffer.from(each.message)]);
              each.discardMessage();
              each.discardMessage();
            }
          },
        };
        await serve(method);
        // Some lie together in a chunk, others in buffers of their own, and some are empty.
        const messages = Array.from({ length: 80 }, (_, index) =>
          randomBytes([0, 300, 12_288, 700_000][index % 4] ?? 0),
        );
        const outcomes = await Promise.all(messages.map((message) => client.unary(METHOD, message)));
        expect(outcomes.map(({ message }, index) => message?.equals(messages[index] ?? NOTHING))).toEqual(
          Array(80).fill(true),
        );
      });

      test('large messages in both directions at once do not wait for each other', async () => {
        const port = await serve(echo);
        const wide = new RawClient(port, { 'grpc-node.flow_control_window': 16 * 1024 * 1024 });
        const message = randomBytes(602_112);
        const outcomes = await Promise.all(Array.from({ length: 64 }, () => wide.unary(METHOD, message)));
        wide.close();
        expect(outcomes.every((outcome) => outcome.message?.equals(message))).toBe(true);
      });
    });

    describe('failures', () => {
      test.each([
        ['ASCII', 'the model wants 3 x 224 x 224', 'the model wants 3 x 224 x 224'],
        ['text beyond ASCII', 'größer als 100 % – 猫 🐈', 'größer als 100 % – 猫 🐈'],
        ['a lone surrogate', 'cut in half: \ud83d', 'cut in half: \ufffd'],
        ['control characters', 'two\r\nlines\u0000', 'two lines '],
      ])('a status carries %s', async (_, text, expected) => {
        await serve({ kind: 'unary', handle: (call) => setImmediate(() => call.fail(Status.INVALID_ARGUMENT, text)) });
        const outcome = await client.unary(METHOD, NOTHING);
        expect(outcome).toMatchObject({ status: 'INVALID_ARGUMENT', text: expected });
      });

      test('a text of 200 KB is cut to 1 KiB, and the connection lives', async () => {
        await serve({ kind: 'unary', handle: (call) => call.fail(Status.NOT_FOUND, '猫'.repeat(100_000)) });
        const outcomes = await Promise.all([client.unary(METHOD, NOTHING), client.unary(METHOD, NOTHING)]);
        for (const outcome of outcomes) {
          expect(outcome.status).toBe('NOT_FOUND');
          expect(outcome.text).toBe(`${'猫'.repeat(1_023)}…`);
        }
      });

      test('an overload says when to come back', async () => {
        const error = new InferError('queue_full', 'the queue is full', { pushback: 12.3 });
        await serve({ kind: 'unary', handle: (call) => failWith(call, error) });
        const { status, trailers } = await client.unary(METHOD, NOTHING);
        expect(status).toBe('RESOURCE_EXHAUSTED');
        expect(trailers.get('grpc-retry-pushback-ms')).toEqual(['13']);
      });

      test('CALL-3: a handler that throws ends its own call with INTERNAL, without a word of the cause', async () => {
        await serve({
          kind: 'unary',
          handle(call) {
            if (call.message.byteLength > 0) throw new Error('a secret');
            call.reply([]);
          },
        });
        const notices = record<Notice>(diagnostics.notice);
        const [failed, answered] = await Promise.all([
          client.unary(METHOD, Buffer.from('x')),
          client.unary(METHOD, NOTHING),
        ]);
        expect(failed).toMatchObject({ status: 'INTERNAL', text: 'internal error' });
        expect(answered.status).toBe('OK');
        expect(notices.stop()).toEqual([expect.objectContaining({ level: 'error', cause: new Error('a secret') })]);
      });

      test('trailers that cannot be sent fail the call, not the process', async () => {
        await serve({ kind: 'unary', handle: (call) => call.reply([], { 'x-text': 'line\nbreak' }) });
        expect((await client.unary(METHOD, NOTHING)).status).toBe('INTERNAL');
      });

      test('CALL-1: a call ends once, whatever its handler does afterwards', async () => {
        const ended = record<CallEnded>(diagnostics.callEnded);
        await serve({
          kind: 'unary',
          handle(call) {
            call.reply([Buffer.from('first')]);
            call.reply([Buffer.from('second')]);
            call.fail(Status.INTERNAL, 'third');
            throw new Error('fourth');
          },
        });
        const outcome = await client.unary(METHOD, NOTHING);
        expect(outcome).toMatchObject({ status: 'OK', message: Buffer.from('first') });
        expect(ended.stop().map(({ status }) => status)).toEqual(['OK']);
      });
    });

    describe('deadlines', () => {
      test("the handler sees the client's deadline", async () => {
        const seen = await deadlineSeen({ timeoutMs: 20_000 });
        expect(seen).toBeGreaterThan(18_000);
        expect(seen).toBeLessThanOrEqual(20_050);
      });

      test('a call without a deadline gets the default', async () => {
        expect(await deadlineSeen({})).toBeCloseTo(OPTIONS.defaultDeadlineMs, -3);
      });

      test("a call says whether the deadline is its client's or the server's, and no metadata shows it", async () => {
        const port = await serve({
          kind: 'unary',
          handle: (call) => call.reply([Buffer.from(JSON.stringify([call.namesDeadline, [...call.keys()]]))]),
        });
        const seen = async (headers: Record<string, string>): Promise<[boolean, string[]]> =>
          JSON.parse(String((await sendRaw(port, headers)).body));
        const [isNamed, keys] = await seen({ 'grpc-timeout': '20S' });
        const [isDefault, defaultKeys] = await seen({});
        expect([isNamed, isDefault]).toEqual([true, false]);
        expect(defaultKeys).toEqual(keys);
        // A client's header of any name changes nothing.
        const [isStillNamed] = await seen({ 'grpc-timeout': '20S', 'tensorgate-default-deadline': '1' });
        expect(isStillNamed).toBe(true);
      });

      test.each(['90S', '1000H', '2147484S', '99999999M', '99999999H'])(
        'a timeout of %s is clamped to the maximum',
        async (timeout) => {
          const port = await serve(tellDeadline);
          const { status, body } = await sendRaw(port, { 'grpc-timeout': timeout });
          expect(status).toBe('0');
          expect(Number(body)).toBeCloseTo(OPTIONS.maxDeadlineMs, -3);
        },
      );

      test.each(['', '1', 'S', '-1S', 'xx1Syy', '123456789S', '1 S', '1S, 2S', 'x'.repeat(10_000)])(
        'a malformed timeout is refused: %s',
        async (timeout) => {
          const port = await serve(echo);
          const { status, text } = await sendRaw(port, { 'grpc-timeout': timeout });
          expect(status).toBe(String(Status.INTERNAL));
          expect(text.length).toBeLessThan(200);
        },
      );

      test('CALL-2: at its deadline a call is DEADLINE_EXCEEDED, and its handler is notified once', async () => {
        const reasons: CancelReason[] = [];
        const handled = Promise.withResolvers<UnaryCall>();
        await serve(
          {
            kind: 'unary',
            handle(call) {
              call.onCancel = (reason) => {
                reasons.push(reason);
                handled.resolve(call);
              };
            },
          },
          { defaultDeadlineMs: 150 },
        );
        const ended = record<CallEnded>(diagnostics.callEnded);
        const startedAt = performance.now();
        const outcome = await client.unary(METHOD, NOTHING);
        expect(outcome.status).toBe('DEADLINE_EXCEEDED');
        expect(performance.now() - startedAt).toBeGreaterThan(140);
        const call = await handled.promise;
        expect(call.cancelled).toBe(true);
        call.reply([]);
        await client.unary(METHOD, NOTHING);
        expect(reasons).toEqual(['deadline', 'deadline']);
        expect(ended.stop()).toEqual(
          Array(2).fill(expect.objectContaining({ status: 'DEADLINE_EXCEEDED', reason: 'deadline_exceeded' })),
        );
      });

      test('half a request is not held beyond the default deadline', async () => {
        const port = await serve(echo, { defaultDeadlineMs: 150 });
        const { status } = await sendRaw(port, {}, { body: Buffer.from([0, 0, 0, 1, 0, 1, 2, 3]), open: true });
        expect(status).toBe(String(Status.DEADLINE_EXCEEDED));
      });

      test('a streaming call without a deadline has none', async () => {
        let seen: Pick<StreamingCall, 'deadline' | 'namesDeadline'> | undefined;
        await serve({
          kind: 'streaming',
          handle(call) {
            seen = call;
            call.end();
          },
        });
        await collect(client.stream(METHOD));
        expect(seen).toMatchObject({ deadline: Number.POSITIVE_INFINITY, namesDeadline: false });
      });

      test('a call says how long its answer takes to a client that is far away', async () => {
        const port = await serve({
          kind: 'unary',
          handle: (call) => call.reply([Buffer.from(String(call.wayBackMs))]),
        });
        await using far = await farAway(port, 10);
        const farClient = new RawClient(far.port);
        const seen = async (of: RawClient): Promise<number> => Number((await of.unary(METHOD, NOTHING)).message);
        expect(await seen(farClient)).toBe(1);
        await vi.waitUntil(async () => (await seen(farClient)) >= 20, { timeout: 20_000, interval: 50 });
        expect(await seen(client)).toBeGreaterThanOrEqual(0.5);
        farClient.close();
      });

      async function deadlineSeen(options: { timeoutMs?: number }): Promise<number> {
        await serve(tellDeadline);
        return Number((await client.unary(METHOD, NOTHING, options)).message);
      }
    });

    describe('cancellation', () => {
      test('CALL-2: the handler is notified once that the client cancelled, and its later actions are dropped', async () => {
        const started = Promise.withResolvers<UnaryCall>();
        const cancelled = Promise.withResolvers<CancelReason>();
        await serve({
          kind: 'unary',
          handle(call) {
            call.onCancel = (reason) => cancelled.resolve(reason);
            started.resolve(call);
          },
        });
        const ended = record<CallEnded>(diagnostics.callEnded);
        const abort = new AbortController();
        const outcome = client.unary(METHOD, NOTHING, { signal: abort.signal });
        const call = await started.promise;
        expect(call.cancelled).toBe(false);
        abort.abort();
        expect(await cancelled.promise).toBe('client');
        expect(call.cancelled).toBe(true);
        call.reply([]);
        call.fail(Status.INTERNAL, 'too late');
        expect((await outcome).status).toBe('CANCELLED');
        expect(ended.stop()).toEqual([expect.objectContaining({ status: 'CANCELLED', reason: 'cancelled' })]);
      });

      test('CALL-2: a call that was answered is not cancelled afterwards', async () => {
        const reasons: CancelReason[] = [];
        const calls: UnaryCall[] = [];
        await serve({
          kind: 'unary',
          handle(call) {
            calls.push(call);
            call.onCancel = (reason) => reasons.push(reason);
            call.reply([]);
          },
        });
        await client.unary(METHOD, NOTHING);
        client.close();
        await transport?.drain(1_000);
        expect(reasons).toEqual([]);
        expect(calls.map(({ cancelled }) => cancelled)).toEqual([false]);
      });

      test('an error thrown by onCancel stays in its call', async () => {
        const cancelled = Promise.withResolvers<void>();
        await serve({
          kind: 'unary',
          handle(call) {
            if (call.message.byteLength === 0) return call.reply([]);
            call.onCancel = () => {
              cancelled.resolve();
              throw new Error('from onCancel');
            };
            abort.abort();
          },
        });
        const abort = new AbortController();
        const outcome = await client.unary(METHOD, Buffer.from('x'), { signal: abort.signal });
        expect(outcome.status).toBe('CANCELLED');
        await cancelled.promise;
        expect((await client.unary(METHOD, NOTHING)).status).toBe('OK');
      });

      test('a connection that breaks cancels its calls', async () => {
        const started = Promise.withResolvers<void>();
        const cancelled = Promise.withResolvers<CancelReason>();
        const port = await serve({
          kind: 'unary',
          handle(call) {
            call.onCancel = cancelled.resolve;
            started.resolve();
          },
        });
        const session = http2.connect(`http://127.0.0.1:${port}`);
        session.on('error', () => undefined);
        const stream = session.request(headersOf({}));
        stream.on('error', () => undefined);
        stream.end(framed(NOTHING));
        await started.promise;
        session.destroy();
        expect(['client', 'connection']).toContain(await cancelled.promise);
      });
    });

    describe('streaming calls', () => {
      test('messages go both ways, in order, and OK follows the half-close', async () => {
        await serve(streamEcho);
        const stream = client.stream(METHOD);
        const received = collect(stream);
        const sent = Array.from({ length: 500 }, (_, index) => randomBytes(index * 7));
        for (const message of sent) stream.write(message);
        stream.end();
        const { status, messages } = await received;
        expect(status).toBe('OK');
        expect(messages).toEqual(sent);
      });

      test('a stream without messages ends with OK', async () => {
        await serve(streamEcho);
        const stream = client.stream(METHOD);
        stream.end();
        expect(await collect(stream)).toMatchObject({ status: 'OK', messages: [] });
      });

      test('a failure comes after the messages that were written before it', async () => {
        await serve({
          kind: 'streaming',
          handle(call) {
            call.write([Buffer.from('one')]);
            call.write([Buffer.from('t'), Buffer.from('wo')]);
            failWith(call, new InferError('model_not_ready', 'still loading', { pushback: 'never' }));
            call.write([Buffer.from('three')]);
          },
        });
        const { status, text, messages } = await collect(client.stream(METHOD));
        expect({ status, text }).toEqual({ status: 'UNAVAILABLE', text: 'still loading' });
        expect(messages.map(String)).toEqual(['one', 'two']);
      });

      test('CALL-3: an error thrown by onMessage ends the stream with INTERNAL', async () => {
        await serve({
          kind: 'streaming',
          handle(call) {
            call.onMessage = () => {
              throw new Error('a secret');
            };
          },
        });
        const stream = client.stream(METHOD);
        stream.write(Buffer.from('x'));
        expect(await collect(stream)).toMatchObject({ status: 'INTERNAL', text: 'internal error' });
      });

      test('write says false while the client does not read, and onDrain when it does', async () => {
        const size = 64 * 1024;
        const full = Promise.withResolvers<number>();
        let drains = 0;
        await serve({
          kind: 'streaming',
          handle(call) {
            let written = 0;
            const fill = (): void => {
              while (written < 400) {
                written++;
                if (!call.write([Buffer.alloc(size, written)])) {
                  full.resolve(written);
                  return;
                }
              }
              call.end();
            };
            call.onDrain = () => {
              drains++;
              fill();
            };
            fill();
          },
        });
        const stream = client.stream(METHOD);
        // Nothing is read before there is no more room.
        const written = await full.promise;
        expect(written).toBeLessThan(400);
        const { status, messages } = await collect(stream);
        expect(status).toBe('OK');
        expect(messages.map((message) => message[0])).toEqual(Array.from({ length: 400 }, (_, i) => (i + 1) & 255));
        expect(drains).toBeGreaterThan(0);
      });

      test('no message comes while the call is paused, and the client is held back', async () => {
        const first = Promise.withResolvers<StreamingCall>();
        let received = 0;
        await serve({
          kind: 'streaming',
          handle(call) {
            call.onMessage = () => {
              received++;
              call.pause();
              first.resolve(call);
            };
            call.onEnd = () => call.end();
          },
        });
        const stream = client.stream(METHOD);
        const ended = collect(stream);
        const count = 200;
        let sent = 0;
        for (let i = 0; i < count; i++) stream.write(Buffer.alloc(64 * 1024), () => sent++);
        stream.end();
        const call = await first.promise;
        // Time enough for more of them, on the same connection.
        for (let i = 0; i < 100; i++) await client.unary('/no.Such/Method', NOTHING);
        expect(received).toBe(1);
        expect(sent).toBeLessThan(count);
        call.onMessage = () => {
          received++;
        };
        call.resume();
        expect((await ended).status).toBe('OK');
        expect(received).toBe(count);
      });

      test('a cancelled stream is notified once', async () => {
        const reasons: CancelReason[] = [];
        const cancelled = Promise.withResolvers<void>();
        await serve({
          kind: 'streaming',
          handle(call) {
            call.onMessage = (message) => call.write([message]);
            call.onCancel = (reason) => {
              reasons.push(reason);
              cancelled.resolve();
            };
          },
        });
        const stream = client.stream(METHOD);
        const ended = collect(stream);
        stream.write(Buffer.from('x'));
        await once(stream, 'data');
        stream.cancel();
        expect((await ended).status).toBe('CANCELLED');
        await cancelled.promise;
        expect(reasons).toEqual(['client']);
      });
    });

    describe('the end', () => {
      test('a drain under load loses no call that was accepted, and refuses what comes after', async () => {
        let accepted = 0;
        let answered = 0;
        const port = await serve({
          kind: 'unary',
          handle(call) {
            accepted++;
            setTimeout(() => {
              answered++;
              call.reply([call.message]);
            }, 5);
          },
        });
        const clients = Array.from({ length: 8 }, () => new RawClient(port));
        const outcomes: UnaryOutcome[] = [];
        const load = clients.flatMap((one) =>
          Array.from({ length: 8 }, async () => {
            let outcome: UnaryOutcome;
            do {
              outcome = await one.unary(METHOD, Buffer.from('x'));
              outcomes.push(outcome);
            } while (outcome.status === 'OK');
          }),
        );
        while (answered < 500) await new Promise(setImmediate);
        await transport?.drain(5_000);
        await Promise.all(load);
        for (const one of clients) one.close();
        expect(answered).toBe(accepted);
        expect(outcomes.filter(({ status }) => status === 'OK')).toHaveLength(accepted);
        expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['OK', 'UNAVAILABLE']));
        await expect(connect(port)).rejects.toThrow('ECONNREFUSED');
      });

      test('a stuck handler does not extend the drain: its caller gets UNAVAILABLE, and it is notified', async () => {
        const started = Promise.withResolvers<void>();
        const cancelled = Promise.withResolvers<CancelReason>();
        await serve({
          kind: 'unary',
          handle(call) {
            call.onCancel = cancelled.resolve;
            started.resolve();
          },
        });
        const outcome = client.unary(METHOD, NOTHING);
        await started.promise;
        const startedAt = performance.now();
        await transport?.drain(400);
        expect(performance.now() - startedAt).toBeLessThan(2_000);
        expect((await outcome).status).toBe('UNAVAILABLE');
        expect(await cancelled.promise).toBe('connection');
      });

      test('a peer that never sent a byte does not extend the drain', async () => {
        const port = await serve(echo);
        const silent = await connect(port);
        silent.on('error', () => undefined);
        await client.unary(METHOD, NOTHING);
        const startedAt = performance.now();
        await transport?.drain(10_000);
        expect(performance.now() - startedAt).toBeLessThan(2_000);
        silent.destroy();
      });

      test('a drained transport still says where it listened: its successor takes the same port', async () => {
        const port = await serve(echo);
        await transport?.drain(1_000);
        expect(transport?.port).toBe(port);
        const successor = await listen({ ...OPTIONS, port }, new Map());
        await successor.drain(0);
      });

      test('a second drain is the first one', async () => {
        await serve(echo);
        expect(transport?.drain(1_000)).toBe(transport?.drain(5));
        await transport?.drain(1_000);
      });

      test('a port in use is refused with an error that names it', async () => {
        const port = await serve(echo);
        await expect(listen({ ...OPTIONS, port }, new Map())).rejects.toThrow(
          `cannot listen on 127.0.0.1:${port} (EADDRINUSE): another process listens there`,
        );
      });

      test('an address of another machine is refused with an error that names it', async () => {
        await expect(listen({ ...OPTIONS, host: '192.0.2.1' }, new Map())).rejects.toThrow(
          'cannot listen on 192.0.2.1:0 (EADDRNOTAVAIL): this machine has no such address',
        );
      });
    });
  });
}

const METHOD = '/test.Service/Method';
const NOTHING = new Uint8Array(0);

const echo: Method = { kind: 'unary', handle: (call) => call.reply([call.message]) };

const deferredEcho: Method = { kind: 'unary', handle: (call) => setImmediate(() => call.reply([call.message])) };

const tellDeadline: Method = {
  kind: 'unary',
  handle: (call) => call.reply([Buffer.from(String(call.deadline - performance.now()))]),
};

const streamEcho: Method = {
  kind: 'streaming',
  handle(call) {
    call.onMessage = (message) => {
      if (!call.write([message])) call.pause();
    };
    call.onDrain = () => call.resume();
    call.onEnd = () => call.end();
  },
};

/** Notes the events of a topic until it is stopped. */
function record<Event>(topic: { subscribe(listener: (event: Event) => void): () => void }): { stop(): Event[] } {
  const events: Event[] = [];
  const unsubscribe = topic.subscribe((event) => events.push(event));
  return {
    stop() {
      unsubscribe();
      return events;
    },
  };
}

function connect(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(socket));
    socket.once('error', reject);
  });
}

function framed(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([prefix, message]);
}

function headersOf(more: Readonly<Record<string, string | string[]>>): http2.OutgoingHttpHeaders {
  return { ':method': 'POST', ':path': METHOD, 'content-type': 'application/grpc', te: 'trailers', ...more };
}

interface RawOutcome {
  /** `grpc-status` */
  readonly status: string;
  readonly text: string;
  /** Without its prefix. */
  readonly body: Buffer;
}

/** What a client that is not well-behaved would send. */
function sendRaw(
  port: number,
  headers: Readonly<Record<string, string | string[]>>,
  { body = framed(NOTHING), open = false }: { body?: Buffer; open?: boolean } = {},
): Promise<RawOutcome> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    const stream = session.request(headersOf(headers));
    const chunks: Buffer[] = [];
    let end: http2.IncomingHttpHeaders = {};
    const note = (received: http2.IncomingHttpHeaders): void => {
      if (received['grpc-status'] !== undefined) end = received;
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () => {
      session.close();
      stream.close();
      const text = decodeURIComponent(String(end['grpc-message'] ?? ''));
      resolve({ status: String(end['grpc-status']), text, body: Buffer.concat(chunks).subarray(5) });
    });
    stream.write(body);
    if (!open) stream.end();
  });
}

async function sendCompressed(port: number, message: Buffer): Promise<{ status: string; body: Buffer }> {
  const { status, body } = await sendRaw(port, { 'grpc-encoding': 'gzip' }, { body: framed(message, 1) });
  return { status, body };
}
