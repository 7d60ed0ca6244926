/** Models with external weights: how they are loaded. `large-model.full.test.ts` does it with weights of 1.5 GB. */

import { expect, test } from 'vitest';
import { answerToOnes, writeLargeModel } from '../support/large-model.ts';
import { startServer } from '../support/server.ts';
import { StockClient } from '../support/stock-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const BYTES = 16 * 2 ** 20;

test('a model with external weights answers from them', async () => {
  const repository = temporaryDirectory();
  const model = writeLargeModel(repository, 'large', BYTES);
  await using server = await startServer(repository);
  using client = new StockClient(server.grpc);
  expect(await answerToOnes(client, 'large', model)).toEqual([[model.column, 2]]);
});

test('a load that takes too long names the limit that ends it', async () => {
  const repository = temporaryDirectory();
  writeLargeModel(repository, 'large', BYTES);
  await using server = await startServer(repository, { flags: ['--runner-start-timeout-ms', '20'] });
  expect(server.lines.join('\n')).toMatch(
    /large version 1: UNAVAILABLE: .*no answer within 20 ms, which is the limit for a load \(--runner-start-timeout-ms\)/,
  );
});
