/** A model with 1.5 GB of external weights, made on the spot: it is served, and its instances share the weights without prepacking. */

import fs from 'node:fs';
import os from 'node:os';
import { expect, test } from 'vitest';
import { answerToOnes, writeLargeModel } from '../support/large-model.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { StockClient } from '../support/stock-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const WEIGHTS = 1.5e9;
const MAX_MS = 300_000;

const why = obstacle();
if (why !== undefined) console.warn(`SKIPPED: no model of 1.5 GB is loaded: ${why}`);

/** The page cache has the weights once, and a session a copy of them. */
function obstacle(): string | undefined {
  const { bavail, bsize } = fs.statfsSync(os.tmpdir());
  if (bavail * bsize < 2 * WEIGHTS) return `'${os.tmpdir()}' has less than 3 GB free`;
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1];
  if (Number(available) * 1_024 < 4 * WEIGHTS) return 'less than 6 GB of memory are available';
  return undefined;
}

/** Private memory of the only runner, in bytes. */
function privateBytes(server: TestServer): number {
  const [pid] = server.runnerPids();
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) * 1_024;
}

test.skipIf(why !== undefined)(
  'an instance of a large model has a copy of the weights, and two instances without prepacking share them',
  { timeout: MAX_MS },
  async () => {
    const repository = temporaryDirectory();
    const model = writeLargeModel(repository, 'large', WEIGHTS);
    const served = async (config: object): Promise<number> => {
      fs.writeFileSync(`${repository}/large/config.json`, JSON.stringify(config));
      await using server = await startServer(repository);
      using client = new StockClient(server.grpc);
      expect(await answerToOnes(client, 'large', model)).toEqual([[model.column, 2]]);
      return privateBytes(server);
    };
    const one = await served({ max_batch_size: 2 });
    const shared = await served({
      max_batch_size: 2,
      instance_group: [{ count: 2 }],
      parameters: { 'session.disable_prepacking': '1' },
    });
    console.log(`private memory: ${one} bytes in one instance, ${shared} in two without prepacking`);
    expect(one).toBeGreaterThan(WEIGHTS);
    expect(shared).toBeLessThan(WEIGHTS / 4);
  },
);
