import { InferError } from '../errors.ts';
import type { Method } from './call.ts';
import type { Codec } from './definition.ts';
import { failWith } from './failure.ts';

/** An RPC that is answered at once: decode, `answer`, encode. What `answer` throws becomes the status. */
export function unaryMethod<Request, Response>(
  codec: Codec<Request, Response>,
  answer: (request: Request) => Response,
): Method {
  return {
    kind: 'unary',
    handle(call) {
      try {
        call.reply([codec.encode(answer(codec.decode(call.message)))]);
      } catch (thrown) {
        failWith(call, InferError.from(thrown));
      }
    },
  };
}
