/** Changes of the server: each is published when it has ended, with who asked for it. */

import { InferError } from '../errors.ts';
import { type ChangeEnded, diagnostics } from './diagnostics.ts';

/** Does the work, and publishes how it ended. Rejects as the work does. */
export async function audited<Result>(
  change: Omit<ChangeEnded, 'failure'>,
  work: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    const result = await work();
    diagnostics.changeEnded.publish({ ...change, failure: undefined });
    return result;
  } catch (thrown) {
    diagnostics.changeEnded.publish({ ...change, failure: InferError.from(thrown) });
    throw thrown;
  }
}
