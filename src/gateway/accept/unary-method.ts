import type { Service } from '../../wire/rpc-messages.ts';
import { InferError } from '../errors.ts';
import type { Call, Method, UnaryCall } from './call.ts';
import { type Codec, type Codecs, MAX_REQUEST_BYTES } from './definition.ts';
import { failWith } from './failure.ts';
import { SLICES } from './slices.ts';

/** An RPC whose messages are objects: decode, `answer`, encode. What `answer` throws, or rejects with, becomes the status. */
export function unaryMethod<Request, Response>(
  codec: Codec<Request, Response>,
  answer: (request: Request, call: Call) => Response | Promise<Response>,
): Method {
  const reply = (call: UnaryCall, response: Response): void => call.reply([codec.encode(response)]);
  const fail = (call: UnaryCall, thrown: unknown): void => failWith(call, InferError.from(thrown));
  return {
    kind: 'unary',
    maxMessageBytes: MAX_REQUEST_BYTES,
    handle(call) {
      try {
        const answered = answer(codec.decode(call.message), call);
        if (!(answered instanceof Promise)) reply(call, answered);
        else answered.then((response) => reply(call, response)).catch((thrown: unknown) => fail(call, thrown));
      } catch (thrown) {
        fail(call, thrown);
      }
    },
  };
}

export type Answers<Rpcs extends Service<Rpcs>> = {
  readonly [Name in keyof Rpcs]: (
    request: Rpcs[Name]['request'],
    call: Call,
  ) => Rpcs[Name]['response'] | Promise<Rpcs[Name]['response']>;
};

export function unaryMethods<Rpcs extends Service<Rpcs>>(
  codecs: Codecs<Rpcs>,
  answers: Answers<Rpcs>,
): Map<string, Method> {
  const methodOf = <Name extends keyof Rpcs>(name: Name): Method =>
    unaryMethod<Rpcs[Name]['request'], Rpcs[Name]['response']>(codecs[name], answers[name]);
  const names = Object.keys(answers) as (keyof Rpcs & string)[];
  return new Map(names.map((name) => [name, methodOf(name)]));
}

/** Items that are encoded in one slice of the event loop: a few milliseconds where the code is cold. */
const SLICE_ITEMS = 250;

/**
 * The same for an RPC whose response is a list of any length: it is encoded in slices, between which other work runs.
 * Encoded messages, one after the other, are one message with the items of all.
 * @param responseOf the response with some of the items
 */
export function listMethod<Request, Response, Item>(
  codec: Codec<Request, Response>,
  list: (request: Request) => readonly Item[] | Promise<readonly Item[]>,
  responseOf: (items: readonly Item[]) => Response,
): Method {
  const method = async (call: UnaryCall): Promise<void> => {
    try {
      const items = await list(codec.decode(call.message));
      const chunks = [codec.encode(responseOf(items.slice(0, SLICE_ITEMS)))];
      for (let at = SLICE_ITEMS; at < items.length; at += SLICE_ITEMS) {
        await SLICES.next();
        chunks.push(codec.encode(responseOf(items.slice(at, at + SLICE_ITEMS))));
      }
      call.reply(chunks);
    } catch (thrown) {
      failWith(call, InferError.from(thrown));
    }
  };
  return { kind: 'unary', maxMessageBytes: MAX_REQUEST_BYTES, handle: (call) => void method(call) };
}
