/** The messages of one RPC, as plain objects. How their fields look is said where they are read. */
export interface RpcMessages {
  readonly request: object;
  readonly response: object;
}

/** A service: the messages of its RPCs by their names. */
export type Service<Rpcs> = { readonly [Name in keyof Rpcs]: RpcMessages };
