/** The requests and the answers of ModelStreamInfer. */

import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import type { decodeStreamResponse, InferResponse } from '../wire/infer-response.ts';
import type { StreamAnswer, StreamRequest } from './client-options.ts';
import { InferenceError } from './inference-error.ts';
import { encodeRequest } from './inference-request.ts';
import { InferenceResult } from './inference-result.ts';

export type StreamCall = ClientDuplexStream<Buffer, ReturnType<typeof decodeStreamResponse>>;

/** Writes the requests as fast as the server takes them. Rejects only where `requests` throws, or one cannot be sent. */
export async function writeRequests(
  call: StreamCall,
  requests: Iterable<StreamRequest> | AsyncIterable<StreamRequest>,
): Promise<void> {
  let over = false;
  call.once('status', () => {
    over = true;
  });
  for await (const { model, inputs, ...options } of requests) {
    if (over) return;
    if (!call.write(encodeRequest(model, inputs, options))) await untilRoom(call);
  }
  call.end();
}

/** Resolves when the call takes more, or takes nothing any more. */
function untilRoom(call: StreamCall): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off('drain', done);
      call.off('status', done);
      resolve();
    };
    call.on('drain', done);
    call.on('status', done);
  });
}

/** A failed request is answered in band, with only its text and its id. */
export function toAnswer(errorMessage: string, response: InferResponse | undefined): StreamAnswer {
  const id = response?.id ?? '';
  if (errorMessage === '' && response !== undefined) {
    return { kind: 'result', id, result: new InferenceResult(response, undefined) };
  }
  return { kind: 'error', id, error: new InferenceError(status.UNKNOWN, errorMessage) };
}
