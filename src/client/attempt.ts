import type { Client, Metadata } from '@grpc/grpc-js';

/** An attempt of a call: its connection, metadata and end. */
export interface Attempt {
  readonly grpc: Client;
  readonly metadata: Metadata;
  /** By the clock of `performance.now()`. */
  readonly deadlineAt: number | undefined;
  readonly signal: AbortSignal | undefined;
}
