/** Envoy, which weighs replicas by their own reports of load (ORCA): it has to read ours. */

import { describe, expect, test } from 'vitest';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { batchesOf, inferred } from '../support/replicas.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { method } from '../support/stock-client.ts';
import { envoy } from '../tools/tools.ts';
import { EnvoyProcess } from './envoy-process.ts';

const INFER = method('inference.GRPCInferenceService', 'ModelInfer');
const REQUEST = INFER.requestSerialize({
  model_name: 'echo',
  inputs: [{ name: 'input', datatype: 'FP32', shape: ['1', '4'], contents: { fp32_contents: [1, 2, 3, 4] } }],
});

const isInstalled = envoy() !== undefined;
if (!isInstalled) console.warn('SKIPPED: Envoy is not installed (test/tools/setup.sh does)');

describe.skipIf(!isInstalled)('Envoy', () => {
  test.each(['beside answers', 'out of band'] as const)(
    'sends less to a replica that reports more load %s',
    async (loadReports) => {
      const flags = ['--log-level', 'silent', '--load-reports', 'always'];
      // The same model, but a full batch of the first has eight times the rows: as many requests are an eighth of the load.
      using large = new Repository({ echo: batchesOf(64) });
      using small = new Repository({ echo: batchesOf(8) });
      await using first = await startServer(large.directory, { flags });
      await using second = await startServer(small.directory, { flags });
      await using proxy = await EnvoyProcess.start({ ports: [first.grpcPort, second.grpcPort], loadReports });
      const client = new RawClient(proxy.port);
      /** From 400 calls. */
      const shareOfSecond = async (): Promise<number> => {
        const before = await inferred(second.grpc);
        const call = async (): Promise<void> => {
          expect((await client.unary(INFER.path, REQUEST)).status).toBe('OK');
        };
        for (let round = 0; round < 50; round++) await Promise.all(Array.from({ length: 8 }, call));
        return ((await inferred(second.grpc)) - before) / 400;
      };
      // Half, as long as there are no weights; about a ninth then. The reports decide when, so this waits for it.
      await expect.poll(shareOfSecond, { timeout: 40_000, interval: 0 }).toBeLessThan(0.25);
      client.close();
    },
  );
});
