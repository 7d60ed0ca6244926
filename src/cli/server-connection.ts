import { InferenceClient, InferenceError } from '../client/inference-client.ts';
import { CliError } from './cli-error.ts';

/** How the commands that talk to a server reach it. */
export interface ConnectionOptions {
  /** `host:port` of its gRPC port. */
  readonly url: string;
  readonly deadlineMs: number;
}

/**
 * Runs `work` with a client.
 * @throws CliError for whatever the server refuses, and where there is no server
 */
export async function withClient<Result>(
  { url, deadlineMs }: ConnectionOptions,
  work: (client: InferenceClient) => Promise<Result>,
): Promise<Result> {
  using client = new InferenceClient(url, { deadlineMs });
  try {
    return await work(client);
  } catch (error) {
    if (!(error instanceof InferenceError)) throw error;
    if (error.status === 'UNAVAILABLE' && !client.connected) {
      throw new CliError(`no server at ${url}: start one with: tensorgate serve --model-repository DIR`, {
        cause: error,
      });
    }
    throw new CliError(describeRefusal(error), { cause: error });
  }
}

/** What the server said, such as `Request for unknown model: 'x' is not found (NOT_FOUND)`. */
export function describeRefusal(error: InferenceError): string {
  return `${error.message} (${error.status})`;
}
