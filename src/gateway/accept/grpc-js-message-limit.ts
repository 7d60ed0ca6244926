/**
 * A limit of messages for each RPC, which grpc-js has only for a server as a whole (checked with 1.14.7, which package.json
 * pins). It is set on the call before its first byte is read, so that grpc-js judges the announced length and what it inflates.
 */

import type { ServerInterceptingCall, ServerInterceptor } from '@grpc/grpc-js';
import { Status } from '../errors.ts';
import type { Routes } from './call.ts';
import { MessageLimit } from './message-limit.ts';

/** The parts of grpc-js's innermost call that judge a message. */
interface ReadingCall {
  maxReceiveMessageSize: number;
  readonly decoder: { maxReadMessageLength: number };
  sendStatus(status: { readonly code: number; readonly details: string }): void;
}

const TOO_LONG = /^Received message larger than max \((\d+) /;
const TOO_LONG_INFLATED = 'Received message that decompresses';

/** To be the first of the server's interceptors. */
export function limitMessages(routes: Routes, serverBytes: number): ServerInterceptor {
  const limits = new Map([...routes].map(([path, method]) => [path, new MessageLimit(path, method, serverBytes)]));
  return ({ path }, call) => {
    const limit = limits.get(path);
    const reading = call as unknown as ReadingCall;
    if (limit === undefined) return call as ServerInterceptingCall;
    reading.maxReceiveMessageSize = limit.bytes;
    reading.decoder.maxReadMessageLength = limit.bytes;
    const sendStatus = reading.sendStatus.bind(call);
    reading.sendStatus = (status) => sendStatus({ ...status, details: detailsOf(status, limit) });
    return call as ServerInterceptingCall;
  };
}

/** Says the same as the other transport of a message that is too long. */
function detailsOf(
  { code, details }: { readonly code: number; readonly details: string },
  limit: MessageLimit,
): string {
  if (code !== Status.RESOURCE_EXHAUSTED || typeof details !== 'string') return details;
  const byteLength = TOO_LONG.exec(details)?.[1];
  if (byteLength !== undefined) return limit.exceeded(Number(byteLength)).message;
  return details.startsWith(TOO_LONG_INFLATED) ? limit.exceededInflated().message : details;
}
