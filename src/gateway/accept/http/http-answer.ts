import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LentMemory } from '../../../http2/lent-memory.ts';
import type { WayBack } from '../../../http2/way-back.ts';

/** The answer of a handler. The port adds `content-length`, and `connection` if the connection ends, and writes it. */
export interface HttpAnswer {
  readonly code: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The body, in parts that must not change until `memory` is given back, and without it never. */
  readonly chunks: readonly Uint8Array[];
  /** Memory that the body is made from, where its owner may use it again. */
  readonly memory?: LentMemory | undefined;
  /** The rest of a body that is made while the client reads it; such a body has no `content-length`. */
  readonly rest?: BodyRest;
}

/** The end of a large body. */
export interface BodyRest {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly heldBytes: number;
}

/**
 * Answers a request. Never rejects. The response is there to observe that the client has gone (`close`), not to be written.
 * @param wayBack of the connection
 */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse, wayBack: WayBack) => Promise<HttpAnswer>;

/** Answers the requests of REST. */
export interface RestHandler {
  readonly handle: HttpHandler;
  /** Whether a request leaves the server as it is, so that those pipelined behind it need not wait for its answer. */
  changesNothing(request: IncomingMessage): boolean;
}

/** An error as REST clients read it. */
export function errorAnswer(code: number, text: string): HttpAnswer {
  const body = JSON.stringify({ error: text });
  return { code, headers: { 'content-type': 'application/json' }, chunks: [Buffer.from(body)] };
}
