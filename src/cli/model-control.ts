/** `tensorgate models load`, `unload`, `index` and `stats`. */

import { readFile } from 'node:fs/promises';
import type { InferenceClient, ModelStatistics, StatisticDuration } from '../client/inference-client.ts';
import { messageOf } from '../error-message.ts';
import { formatExactJson } from '../wire/exact-json.ts';
import { CliError } from './cli-error.ts';
import type { ConnectionOptions } from './connection-options.ts';
import type { ModelsFlags } from './models.ts';
import { nearestModels } from './nearest-models.ts';
import { withClient } from './server-connection.ts';
import { formatTable } from './table.ts';
import { printOrWatch } from './watch.ts';

export interface LoadFlags extends ConnectionOptions {
  /** A file with a `ModelConfig` as JSON. */
  readonly config?: string;
}

export interface UnloadFlags extends ConnectionOptions {
  readonly dependents?: boolean;
}

/** Loads models one after the other, and prints the versions that serve. Returns the exit code. */
export async function loadModels(models: readonly string[], flags: LoadFlags): Promise<number> {
  const { config: file } = flags;
  const config =
    file === undefined
      ? undefined
      : await readFile(file, 'utf8').catch((error: unknown) => {
          throw new CliError(`--config: cannot read '${file}': ${messageOf(error)}`, { cause: error });
        });
  return withClient(flags, async (client) => {
    for (const model of models) {
      await client.loadModel(model, { config });
      const { versions } = await client.modelMetadata(model);
      process.stdout.write(
        `${model} is loaded: ready ${versions.length === 1 ? 'is version' : 'are versions'} ${versions.join(', ')}\n`,
      );
    }
    return 0;
  });
}

/** Unloads models. They still answer the requests that they accepted. Returns the exit code. */
export function unloadModels(models: readonly string[], flags: UnloadFlags): Promise<number> {
  return withClient(flags, async (client) => {
    for (const model of models) {
      // Servers accept an unload of a model that they do not know.
      await refuseUnknown(client, model);
      await client.unloadModel(model, { dependents: flags.dependents });
      process.stdout.write(`${model} takes no new requests, and ends when it has answered those that it accepted\n`);
    }
    return 0;
  });
}

async function refuseUnknown(client: InferenceClient, model: string): Promise<void> {
  const index = await client.repositoryIndex();
  if (index.some(({ name }) => name === model)) return;
  throw new CliError(`the server has no model '${model}'${await nearestModels(client, model)}`);
}

/** Prints every version of every model that the server knows, loaded or not. Returns the exit code. */
export function showIndex(flags: ModelsFlags): Promise<number> {
  return withClient(flags, (client) =>
    printOrWatch(flags, async () => {
      const index = await client.repositoryIndex();
      if (flags.json === true) return `${formatExactJson(index)}\n`;
      if (index.length === 0) return `there is no model at ${flags.url}\n`;
      const rows = index.map(({ name, version, state, reason }) => [name, version, state || 'not loaded', reason]);
      return formatTable(['model', 'version', 'state', 'reason'], rows);
    }),
  );
}

/** Prints what models have done since they were loaded. @param model of all models where `undefined` */
export function showStatistics(model: string | undefined, flags: ModelsFlags): Promise<number> {
  return withClient(flags, (client) =>
    printOrWatch(flags, async () => {
      const statistics = await client.modelStatistics(model ?? '');
      if (flags.json === true) return `${formatExactJson(statistics)}\n`;
      if (statistics.length === 0) return `no model is ready at ${flags.url}\n`;
      const header = [
        'model',
        'version',
        'requests',
        'failed',
        'rows',
        'batches',
        'rows a batch',
        'queue ms',
        'run ms',
      ];
      return formatTable(header, statistics.map(statisticsRow));
    }),
  );
}

function statisticsRow({ name, version, inferenceCount, executionCount, inferenceStats }: ModelStatistics): string[] {
  const { success, fail, queue, computeInfer } = inferenceStats ?? {};
  return [
    name,
    version,
    String(success?.count ?? 0),
    String(fail?.count ?? 0),
    String(inferenceCount),
    String(executionCount),
    executionCount === 0 ? '-' : (inferenceCount / executionCount).toFixed(1),
    meanMs(queue),
    meanMs(computeInfer),
  ];
}

/** The mean of a request, in milliseconds. */
function meanMs(duration: StatisticDuration | null | undefined): string {
  if (duration === undefined || duration === null || duration.count === 0) return '-';
  return (duration.ns / duration.count / 1e6).toFixed(2);
}
