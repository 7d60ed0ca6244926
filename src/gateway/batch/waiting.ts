/** Inputs of the batch decision: waiting requests, their buckets, and the limits of a batch. */

/** A request as the decision sees it. Times are milliseconds of one monotonic clock. */
export interface Waiting {
  readonly rows: number;
  readonly arrivalMs: number;
  /** When its answer is to be ready. */
  readonly deadline: number;
  /** Level of priority; 1 is the most urgent. */
  readonly level: number;
  /** Finish tag of fair queueing. The lowest goes first. */
  readonly tag: number;
  /** Between flows the tags rule; within a flow a later request may go first if that answers more. */
  readonly flow: object;
}

/** Requests whose tensors fit into one batch (same shapes apart from the rows), in order of their tags. */
export interface Bucket<R extends Waiting = Waiting> {
  readonly waiting: readonly R[];
  /** Most rows of a batch where that is less than the policy's. */
  readonly maxRows?: number | undefined;
  /** Bytes of one row, inputs and outputs together, as far as they are known. */
  readonly rowBytes?: number | undefined;
  /** Milliseconds that a batch of `rows` takes, from sending to answer; `undefined` while that is not known. */
  predict(rows: number): number | undefined;
}

export interface BatchPolicy {
  /** Most rows of a batch; 1 where the model does not batch. */
  readonly maxRows: number;
  /** How long the oldest request may be held back for company; 0: an idle instance waits only for callers who come back at once. */
  readonly maxDelayMs: number;
  /** Sizes to send as soon as they can be formed, ascending. With a delay only these, or a full batch, go before it has passed. */
  readonly preferredRows: readonly number[];
}

export function rowsOf(requests: readonly Pick<Waiting, 'rows'>[]): number {
  return requests.reduce((sum, { rows }) => sum + rows, 0);
}

export function grantedMs({ deadline, arrivalMs }: Waiting): number {
  return deadline - arrivalMs;
}
