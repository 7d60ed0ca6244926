import { InferError } from '../errors.ts';
import type { Method, UnaryCall } from './call.ts';
import { type Codec, MAX_REQUEST_BYTES } from './definition.ts';
import { failWith } from './failure.ts';

/** An RPC whose messages are objects: decode, `answer`, encode. What `answer` throws, or rejects with, becomes the status. */
export function unaryMethod<Request, Response>(
  codec: Codec<Request, Response>,
  answer: (request: Request) => Response | Promise<Response>,
): Method {
  const reply = (call: UnaryCall, response: Response): void => call.reply([codec.encode(response)]);
  const fail = (call: UnaryCall, thrown: unknown): void => failWith(call, InferError.from(thrown));
  return {
    kind: 'unary',
    maxMessageBytes: MAX_REQUEST_BYTES,
    handle(call) {
      try {
        const answered = answer(codec.decode(call.message));
        if (!(answered instanceof Promise)) reply(call, answered);
        else answered.then((response) => reply(call, response)).catch((thrown: unknown) => fail(call, thrown));
      } catch (thrown) {
        fail(call, thrown);
      }
    },
  };
}
