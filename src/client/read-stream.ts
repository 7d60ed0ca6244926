/** A streaming call as an async iterator with back-pressure: the next message is read when the iteration asks for it. */

import type { ClientReadableStream, CallOptions as GrpcCallOptions, ServiceError } from '@grpc/grpc-js';
import type { Attempt } from './attempt.ts';
import type { CallPath, PathOptions } from './call-path.ts';
import { toGrpcOptions } from './channel-settings.ts';
import { InferenceError } from './inference-error.ts';

type Opened<Message, Call extends ClientReadableStream<Message>> = (attempt: Attempt, terms: GrpcCallOptions) => Call;

/**
 * Yields the messages of a stream. Throws InferenceError with the status of the stream, unless it is OK. Ending the iteration early
 * cancels the call.
 */
export async function* openReadStream<Message>(
  calls: CallPath,
  path: string,
  options: PathOptions,
  open: Opened<Message, ClientReadableStream<Message>>,
): AsyncGenerator<Message, void, undefined> {
  const opened = Promise.withResolvers<ClientReadableStream<Message>>();
  const { model } = options;
  const ended = calls.stream(path, options, (attempt) => {
    const call = open(attempt, toGrpcOptions(attempt.deadlineAt));
    const { signal } = attempt;
    const cancel = (): void => call.cancel();
    return new Promise((resolve, reject) => {
      // grpc-js emits the status of a cancelled call as an error even without an iteration.
      call.on('error', (error: Error) => {
        reject(isServiceError(error) ? InferenceError.from(error, model, signal) : error);
      });
      call.on('status', ({ code }) => {
        signal?.removeEventListener('abort', cancel);
        if (code === 0) resolve();
      });
      signal?.addEventListener('abort', cancel);
      if (signal?.aborted) cancel();
      opened.resolve(call);
    });
  });
  // An interceptor may fail before the call, or resolve without one.
  ended.then(() => opened.reject(new TypeError('an interceptor resolved without a call of next')), opened.reject);
  const call = await opened.promise;
  try {
    for await (const message of call) yield message as Message;
    await ended;
  } catch (error) {
    if (isServiceError(error)) await ended;
    throw error;
  } finally {
    call.cancel();
    ended.catch(() => {});
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}
