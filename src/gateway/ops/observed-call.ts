/** A call, as far as metrics, traces and logs look at it. Calls of the transports have this form. */
export interface ObservedCall {
  /** `/package.Service/Method`, as the client sent it. */
  readonly path: string;
  /** The streaming call that this is one request of, where it is not a call of its own. */
  readonly stream?: ObservedCall;
  /** The client's call that this is one step of, and the ensemble that it went to, where it is not the client's own. */
  readonly step?: { readonly of: ObservedCall; readonly ensemble: string };
  readonly peer?: {
    readonly address: string;
    readonly certificate?: { readonly subject: string; readonly alternativeNames?: readonly string[] };
  };
  /** The protocol that the client speaks; gRPC where it is absent. */
  readonly via?: 'rest';
  /** On the clock of `performance.now()`; `Infinity` where there is none. */
  readonly deadline?: number;
  /** The first value of a metadata key (lower-case); `-bin` keys give bytes. */
  get(name: string): string | Uint8Array | undefined;
  keys(): Iterable<string>;
}
