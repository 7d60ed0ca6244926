import type { InferError } from '../../errors.ts';
import type { Call } from '../call.ts';
import type { BodyCharge } from './body-budget.ts';
import { type JsonObject, parseObject } from './json-field.ts';
import type { BodyLimit } from './request-body.ts';
import type { RestError } from './rest-error.ts';

/** Names in a path: model, version, region. */
export type PathNames = Readonly<Record<string, string>>;

/** An answer that is JSON, or nothing but its code. */
export interface RestAnswer {
  readonly code: number;
  /** Absent: an empty body, or `chunks`. */
  readonly json?: unknown;
  /** JSON that is already written, in parts. */
  readonly chunks?: readonly Uint8Array[];
}

/** The call of a request, for answers that need more than the body. */
export interface RestContext {
  readonly call: Call;
  /** Takes room for bytes until the answer is there. */
  readonly charge: Pick<BodyCharge, 'take'>;
}

export type RestRoute =
  | {
      readonly kind: 'json';
      readonly method: 'GET' | 'POST';
      readonly path: string;
      /** The RPC of gRPC that it stands for: metrics and traces know it by that. */
      readonly rpc: string;
      readonly summary: string;
      /** Whether 200 comes without a body. */
      readonly silent?: true;
      /** Longest body, where it is not `SMALL_BODY`; `server`: what the server takes of JSON. */
      readonly bodyLimit?: BodyLimit | 'server';
      /** Why the call is refused before its body is read, if so. */
      screen?(): InferError | undefined;
      /** How the body is read, where it may be too long to be read at once. */
      readBody?(body: Buffer): Promise<JsonObject>;
      /** It changes the server: no page of another origin may call it. */
      readonly isControl?: true;
      /** Its answers come from models: it is refused in a drain, and carries the load report. */
      readonly isInference?: true;
      /** The shape of its errors, where that is not the shape of REST v2. */
      readonly errorOf?: (error: InferError) => RestError;
      /** Schemas of OpenAPI; absent: any object, any JSON. */
      readonly schemas?: { readonly body?: object; readonly answer: object };
      /** @param body an empty object where the request has none. */
      answer(names: PathNames, body: JsonObject, context: RestContext): RestAnswer | Promise<RestAnswer>;
    }
  | {
      readonly kind: 'infer';
      readonly method: 'POST';
      readonly path: string;
      readonly rpc: string;
      readonly summary: string;
    };

/** Limit of bodies with only names and settings. */
export const SMALL_BODY: BodyLimit = { maxBytes: 16 * 1024, setting: 'the limit of this path' };
/** Why an RPC that changes the server is not offered here, if so. */
export type AdminScreen = (rpc: string) => InferError | undefined;

export const DONE: RestAnswer = { code: 200 };

export function ok(json: unknown): RestAnswer {
  return { code: 200, json };
}

/** The body of a call that takes JSON; one without a body says nothing. */
export function parseBody(body: Buffer): JsonObject {
  return body.byteLength === 0 ? {} : parseObject(body);
}
