/** gRPC's own test service, on the seam of the transports. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { MethodDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { Call, Method, Routes, StreamingCall, Trailers } from '../../src/gateway/accept/call.ts';
import type { StatusCode } from '../../src/gateway/errors.ts';

const SERVICE = 'grpc.testing.TestService';
const TRAILER = 'x-grpc-test-echo-trailing-bin';

interface Payload {
  readonly body: Uint8Array;
}

interface EchoStatus {
  readonly code: number;
  readonly message: string;
}

export interface SimpleRequest {
  readonly response_size?: number;
  readonly payload?: Payload | null;
  readonly response_status?: EchoStatus | null;
  readonly fill_server_id?: boolean;
}

export interface SimpleResponse {
  readonly payload: Payload;
  readonly server_id: string;
}

export interface StreamingOutputCallRequest {
  readonly response_parameters?: readonly { readonly size: number; readonly interval_us?: number }[];
  readonly payload?: Payload | null;
  readonly response_status?: EchoStatus | null;
}

export interface StreamingOutputCallResponse {
  readonly payload: Payload;
}

export interface StreamingInputCallRequest {
  readonly payload: Payload;
}

export interface StreamingInputCallResponse {
  readonly aggregated_payload_size: number;
}

const DEFINITION = loadSync('grpc-testing.proto', {
  includeDirs: [import.meta.dirname],
  keepCase: true,
  defaults: true,
});

function method<Request, Response>(name: string): MethodDefinition<Request, Response> {
  const service = DEFINITION[SERVICE] as Record<string, MethodDefinition<Request, Response>> | undefined;
  const found = service?.[name];
  if (found === undefined) throw new TypeError(`grpc-testing.proto has no method ${name}`);
  return found;
}

export const EMPTY_CALL = method<object, object>('EmptyCall');
export const UNARY_CALL = method<SimpleRequest, SimpleResponse>('UnaryCall');
export const STREAMING_OUTPUT_CALL = method<StreamingOutputCallRequest, StreamingOutputCallResponse>(
  'StreamingOutputCall',
);
export const STREAMING_INPUT_CALL = method<StreamingInputCallRequest, StreamingInputCallResponse>('StreamingInputCall');
export const FULL_DUPLEX_CALL = method<StreamingOutputCallRequest, StreamingOutputCallResponse>('FullDuplexCall');
export const HALF_DUPLEX_CALL = method<StreamingOutputCallRequest, StreamingOutputCallResponse>('HalfDuplexCall');

/** All its methods but UnimplementedCall. */
export function testingRoutes(): Routes {
  return new Map<string, Method>([
    [EMPTY_CALL.path, { kind: 'unary', handle: (call) => call.reply([]) }],
    [
      UNARY_CALL.path,
      {
        kind: 'unary',
        handle(call) {
          const request = UNARY_CALL.requestDeserialize(Buffer.from(call.message));
          const trailers = echoedTrailers(call);
          if (failsAsAsked(call, request, trailers)) return;
          const response = {
            payload: payloadOf(request.response_size ?? 0),
            server_id: request.fill_server_id === true ? 'the one server' : '',
          };
          call.reply([UNARY_CALL.responseSerialize(response)], trailers);
        },
      },
    ],
    [STREAMING_OUTPUT_CALL.path, { kind: 'streaming', handle: answerEach }],
    [FULL_DUPLEX_CALL.path, { kind: 'streaming', handle: answerEach }],
    [HALF_DUPLEX_CALL.path, { kind: 'streaming', handle: answerAtTheEnd }],
    [
      STREAMING_INPUT_CALL.path,
      {
        kind: 'streaming',
        handle(call) {
          let size = 0;
          call.onMessage = (message) => {
            size += STREAMING_INPUT_CALL.requestDeserialize(Buffer.from(message)).payload.body.length;
          };
          call.onEnd = () => {
            call.write([STREAMING_INPUT_CALL.responseSerialize({ aggregated_payload_size: size })]);
            call.end();
          };
        },
      },
    ],
  ]);
}

/** Takes no request before it has answered the one before. */
function answerEach(call: StreamingCall): void {
  const trailers = echoedTrailers(call);
  call.onMessage = (message) => {
    const request = FULL_DUPLEX_CALL.requestDeserialize(Buffer.from(message));
    if (failsAsAsked(call, request, trailers)) return;
    call.pause();
    void answer(call, request).then(() => call.resume());
  };
  call.onEnd = () => call.end(trailers);
}

function answerAtTheEnd(call: StreamingCall): void {
  const requests: StreamingOutputCallRequest[] = [];
  call.onMessage = (message) => requests.push(HALF_DUPLEX_CALL.requestDeserialize(Buffer.from(message)));
  call.onEnd = async () => {
    for (const request of requests) await answer(call, request);
    call.end();
  };
}

/** Resolves when all that the request asks for is sent, or its caller is gone. */
async function answer(call: StreamingCall, { response_parameters = [] }: StreamingOutputCallRequest): Promise<void> {
  for (const { size, interval_us = 0 } of response_parameters) {
    if (interval_us > 0) await sleep(interval_us / 1_000);
    if (call.cancelled) return;
    if (!call.write([FULL_DUPLEX_CALL.responseSerialize({ payload: payloadOf(size) })])) await room(call);
  }
}

function room(call: StreamingCall): Promise<void> {
  return new Promise((resolve) => {
    call.onDrain = resolve;
    call.onCancel = () => resolve();
  });
}

function payloadOf(size: number): Payload {
  return { body: Buffer.alloc(size) };
}

function echoedTrailers(call: Call): Trailers {
  const value = call.get(TRAILER);
  return value === undefined ? {} : { [TRAILER]: value };
}

function failsAsAsked(
  call: Call,
  { response_status: asked }: { readonly response_status?: EchoStatus | null },
  trailers: Trailers,
): boolean {
  if (asked === undefined || asked === null || asked.code === 0) return false;
  call.fail(asked.code as StatusCode, asked.message, trailers);
  return true;
}
