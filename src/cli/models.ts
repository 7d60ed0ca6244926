import {
  type InferenceClient,
  InferenceError,
  type ModelConfig,
  type TensorMetadata,
} from '../client/inference-client.ts';
import { formatExactJson } from '../wire/exact-json.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { describeTensors } from './model-signature.ts';
import { withClient } from './server-connection.ts';
import { formatTable } from './table.ts';
import { toOneLine } from './terminal-text.ts';

export interface ModelsFlags extends ConnectionOptions {
  readonly json?: boolean;
}

interface ReadyVersion {
  readonly name: string;
  readonly version: string;
  /** Servers list statistics only of ready models. */
  readonly state: 'READY';
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
  readonly max_batch_size: number;
  readonly batching: string;
  readonly execution_provider: string | undefined;
}

/** A version that is loading, or whose load failed. */
interface UnreadyVersion {
  readonly name: string;
  readonly version: string;
  readonly state: string;
  readonly reason: string;
}

/** Prints the model versions of a server: how it serves those that are ready, and why others are not. Returns the exit code. */
export async function listModels(flags: ModelsFlags): Promise<number> {
  const { ready, unready } = await withClient(flags, async (client) => ({
    ready: await loadReady(client),
    unready: await loadUnready(client),
  }));
  if (flags.json === true) {
    process.stdout.write(`${formatExactJson([...ready, ...unready])}\n`);
    return 0;
  }
  const rows = ready.map((model) => [
    model.name,
    model.version,
    model.state,
    describeTensors(model.inputs),
    describeTensors(model.outputs),
    model.batching,
  ]);
  if (rows.length === 0) process.stderr.write(`no model is ready at ${flags.url}\n`);
  else process.stdout.write(formatTable(['model', 'version', 'state', 'inputs', 'outputs', 'batching'], rows));
  if (unready.length > 0) {
    const reasons = unready.map(({ name, version, state, reason }) => [name, version, state, toOneLine(reason)]);
    process.stdout.write(
      `${rows.length === 0 ? '' : '\n'}${formatTable(['model', 'version', 'state', 'reason'], reasons)}`,
    );
  }
  return 0;
}

/** Lists the ready models of a server without an index. */
async function loadUnready(client: InferenceClient): Promise<UnreadyVersion[]> {
  const index = await client.repositoryIndex().catch((error: unknown) => {
    if (error instanceof InferenceError) return [];
    throw error;
  });
  return index
    .filter(({ state }) => state !== '' && state !== 'READY')
    .map(({ name, version, state, reason }) => ({ name, version, state, reason }));
}

async function loadReady(client: InferenceClient): Promise<ReadyVersion[]> {
  const statistics = await client.modelStatistics('');
  const models = await Promise.all(
    statistics.map(async ({ name, version }): Promise<ReadyVersion> => {
      const [metadata, config] = await Promise.all([
        client.modelMetadata(name, { version }),
        client.modelConfig(name, { version }),
      ]);
      return {
        name,
        version,
        state: 'READY',
        inputs: metadata.inputs,
        outputs: metadata.outputs,
        max_batch_size: config.maxBatchSize,
        batching: describeBatching(config),
        execution_provider: config.parameters['execution_provider']?.stringValue,
      };
    }),
  );
  return models.sort((a, b) => a.name.localeCompare(b.name) || ascending(a.version, b.version));
}

/** tensorgate reports whether a model batches, and why not; for another server the configuration decides. */
function describeBatching({ parameters, dynamicBatching, maxBatchSize }: ModelConfig): string {
  const said = parameters['batching']?.stringValue;
  if (said !== undefined) return said;
  if (maxBatchSize === 0) return 'off: max_batch_size is 0';
  return dynamicBatching ? `on (max ${maxBatchSize})` : 'off: no dynamic_batching in its configuration';
}

/** As numbers, which may have more digits than a number holds. */
function ascending(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
