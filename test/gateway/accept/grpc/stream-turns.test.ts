import { connect } from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import type { Method, Transport } from '../../../../src/gateway/accept/call.ts';
import { http2Listener } from '../../../../src/gateway/accept/grpc/http2-transport.ts';
import { grpcMessage } from '../../../http2/raw-frames.ts';
import { TRANSPORT_OPTIONS } from '../../../support/transport-options.ts';

const MESSAGES = 3_000;
/** Messages that are handed on while nothing is timed: far fewer than all, far more than one. */
const MOST_IN_A_TURN = 1_000;

let transport: Transport | undefined;

afterEach(async () => {
  await transport?.drain(0);
  transport = undefined;
});

test('messages that waited and are answered at once do not all come in one turn of the event loop, and come in order', async () => {
  const seen: number[] = [];
  let inThisTurn = 0;
  let most = 0;
  const method: Method = {
    kind: 'streaming',
    handle(call) {
      call.onMessage = (message) => {
        seen.push(Buffer.from(message).readUInt32BE());
        if (inThisTurn++ === 0) {
          setImmediate(() => {
            inThisTurn = 0;
          });
        }
        most = Math.max(most, inThisTurn);
        call.pause();
        // As a refusal does: without a turn between.
        void Promise.resolve().then(() => Promise.resolve().then(() => call.resume()));
        // As much work as reading and refusing a small request.
        const end = process.cpuUsage().user + 20;
        while (process.cpuUsage().user < end);
      };
      call.onEnd = () => call.end();
    },
  };
  const options = { ...TRANSPORT_OPTIONS, maxMessageBytes: 4_096, maxConcurrentStreams: 10, defaultDeadlineMs: 60_000 };
  transport = await http2Listener({})(options, new Map([['/t/Stream', method]]));
  const client = connect(`http://127.0.0.1:${transport.port}`);
  const stream = client.request({ ':method': 'POST', ':path': '/t/Stream', 'content-type': 'application/grpc' });
  const messages = Array.from({ length: MESSAGES }, (_, index) => {
    const message = Buffer.alloc(4);
    message.writeUInt32BE(index);
    return grpcMessage(message);
  });
  stream.end(Buffer.concat(messages));
  stream.resume();
  await new Promise((resolve) => stream.on('close', resolve));
  client.close();
  expect(seen).toEqual(Array.from({ length: MESSAGES }, (_, index) => index));
  expect(most).toBeLessThanOrEqual(MOST_IN_A_TURN);
});
