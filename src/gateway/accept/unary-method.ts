import { InferError } from '../errors.ts';
import type { Method, UnaryCall } from './call.ts';
import { type Codec, MAX_REQUEST_BYTES } from './definition.ts';
import { failWith } from './failure.ts';
import { SLICES } from './slices.ts';

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

/** Items that are encoded in one slice of the event loop: a few milliseconds where the code is cold. */
const SLICE_ITEMS = 250;

/**
 * The same for an RPC whose response is a list of any length: it is encoded in slices, between which others get their turn.
 * Encoded messages, one after the other, are one message with the items of all.
 * @param field of the response that holds the list
 */
export function listMethod(
  codec: Codec<object, object>,
  field: string,
  answer: (request: object) => object | Promise<object>,
): Method {
  const method = async (call: UnaryCall): Promise<void> => {
    try {
      const response = new Map(Object.entries(await answer(codec.decode(call.message))));
      const items: unknown = response.get(field);
      if (!Array.isArray(items)) throw new TypeError(`the response has no list '${field}'`);
      const chunks = [codec.encode({ [field]: items.slice(0, SLICE_ITEMS) })];
      for (let at = SLICE_ITEMS; at < items.length; at += SLICE_ITEMS) {
        await SLICES.next();
        chunks.push(codec.encode({ [field]: items.slice(at, at + SLICE_ITEMS) }));
      }
      call.reply(chunks);
    } catch (thrown) {
      failWith(call, InferError.from(thrown));
    }
  };
  return { kind: 'unary', maxMessageBytes: MAX_REQUEST_BYTES, handle: (call) => void method(call) };
}
