import { afterAll, beforeAll } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import type { ModelFiles } from './repository.ts';
import type { TestServer } from './server.ts';
import { useServer } from './server-fixture.ts';

interface CodeTensor {
  readonly name: string;
  readonly data_type: string;
  readonly dims: readonly number[];
}

/** FP32 rows of two elements in and out. */
export const PAIRS = {
  input: [{ name: 'x', data_type: 'TYPE_FP32', dims: [2] }],
  output: [{ name: 'y', data_type: 'TYPE_FP32', dims: [2] }],
} satisfies Record<string, readonly CodeTensor[]>;

/** A model of the platform `tensorgate_javascript`, with one instance. */
export function codeModel(source: string, config: object = PAIRS, file = 'model.mjs'): ModelFiles {
  return {
    versions: { 1: undefined },
    config: { platform: 'tensorgate_javascript', instance_group: [{ count: 1 }], ...config },
    files: { [`1/${file}`]: source },
  };
}

/** A server that runs code, of these models, and a client of it, for all tests of the `describe` that calls this. */
export function useCodeServer(
  models: Readonly<Record<string, ModelFiles>>,
  flags: readonly string[] = ['--log-level', 'error'],
): { readonly server: TestServer; readonly client: InferenceClient } {
  const fixture = useServer(models, { flags: ['--allow-code-models', ...flags] });
  let client: InferenceClient | undefined;
  beforeAll(() => {
    client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  });
  afterAll(() => client?.[Symbol.dispose]());
  return {
    get server() {
      return fixture.server;
    },
    get client() {
      if (client === undefined) throw new Error('the client is there in tests and hooks only');
      return client;
    },
  };
}
