import { type Metadata, status } from '@grpc/grpc-js';
import type { Attempt } from './attempt.ts';
import { toGrpcOptions } from './channel-settings.ts';
import { InferenceError } from './inference-error.ts';

export interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** Calls an RPC with one request and one response. Rejects with InferenceError. */
export function unaryCall<Request, Response>(
  method: UnaryMethod<Request, Response>,
  request: Request,
  { grpc, metadata, deadlineAt, signal }: Attempt,
  model: string | undefined,
): Promise<{ response: Response; trailers: Metadata }> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new InferenceError(status.CANCELLED, 'cancelled before it was sent', { model, cause: signal.reason }));
      return;
    }
    let answer: Response | undefined;
    const cancel = () => call.cancel();
    const call = grpc.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      toGrpcOptions(deadlineAt),
      (error, response) => {
        signal?.removeEventListener('abort', cancel);
        answer = response;
        if (error !== null) reject(InferenceError.from(error, model, signal));
      },
    );
    // The trailers come with the status, which grpc-js emits right after the callback.
    call.on('status', ({ metadata: trailers }) => {
      if (answer !== undefined) resolve({ response: answer, trailers });
    });
    signal?.addEventListener('abort', cancel);
  });
}
