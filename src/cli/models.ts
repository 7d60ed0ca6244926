import {
  type InferenceClient,
  InferenceError,
  type ModelConfig,
  type TensorMetadata,
} from '../client/inference-client.ts';
import { formatExactJson } from '../wire/exact-json.ts';
import { mapConcurrently } from './concurrency.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { describeTensors } from './model-signature.ts';
import { withClient } from './server-connection.ts';
import { isSidePart } from './side-part.ts';
import { formatTable } from './table.ts';
import { printOrWatch, type WatchFlags } from './watch.ts';

export interface ModelsFlags extends ConnectionOptions, WatchFlags {
  readonly json?: boolean;
}

interface ReadyVersion {
  readonly name: string;
  readonly version: string;
  /** Servers list statistics only of ready models. */
  readonly state: 'READY';
  /** It answers requests without a version. */
  readonly default: boolean;
  /** Empty, or why a newer version could not take its place. */
  readonly reason: string;
  readonly instances: number;
  readonly execution_provider: string | undefined;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
  readonly max_batch_size: number;
  readonly batching: string;
}

/** A version that is loading, whose load failed, or that was never loaded. */
interface UnreadyVersion {
  readonly name: string;
  readonly version: string;
  readonly state: string;
  readonly reason: string;
}

/** Calls under way at a time. */
const MAX_CALLS = 16;

/** Prints the model versions of a server: how it serves those that are ready, and why others are not. Returns the exit code. */
export function listModels(flags: ModelsFlags): Promise<number> {
  return withClient(flags, (client) => printOrWatch(flags, () => describeModels(client, flags)));
}

async function describeModels(client: InferenceClient, { json, url, watch }: ModelsFlags): Promise<string> {
  const index = await loadIndex(client);
  const ready = await loadReady(client, index);
  const others = index
    .filter(({ name, version, state }) => state !== 'READY' || !isListed(ready, name, version))
    .map(({ name, version, state, reason }): UnreadyVersion => ({ name, version, state, reason }));
  if (json === true) return `${formatExactJson([...ready, ...others])}\n`;
  const rows = ready
    .filter(({ name }) => !isSidePart(name))
    .map((model) => [
      model.name,
      model.version,
      model.state,
      model.default ? 'yes' : '',
      describeInstances(model),
      describeTensors(model.inputs),
      describeTensors(model.outputs),
      model.batching,
    ]);
  const reasons = [...others, ...ready.filter(({ reason }) => reason !== '')].map(
    ({ name, version, state, reason }) => [name, version, state === '' ? 'not loaded' : state, reason],
  );
  const header = ['model', 'version', 'state', 'default', 'instances', 'inputs', 'outputs', 'batching'];
  return [
    rows.length === 0 ? remark(`no model is ready at ${url}\n`, watch) : formatTable(header, rows),
    reasons.length === 0 ? '' : formatTable(['model', 'version', 'state', 'reason'], reasons),
  ]
    .filter((text) => text !== '')
    .join('\n');
}

/** A text that is no result: beside the output, unless that is redrawn. */
function remark(text: string, watch: boolean | undefined): string {
  if (watch === true) return text;
  process.stderr.write(text);
  return '';
}

function isListed(ready: readonly ReadyVersion[], name: string, version: string): boolean {
  return ready.some((model) => model.name === name && model.version === version);
}

/** `2 on cpu`; nothing for an ensemble. */
function describeInstances({ instances, execution_provider: provider }: ReadyVersion): string {
  if (instances === 0) return '';
  return provider === undefined || provider === '' ? String(instances) : `${instances} on ${provider}`;
}

/** Empty for a server without an index. */
async function loadIndex(client: InferenceClient): Promise<Awaited<ReturnType<InferenceClient['repositoryIndex']>>> {
  return client.repositoryIndex().catch((error: unknown) => {
    if (error instanceof InferenceError) return [];
    throw error;
  });
}

async function loadReady(
  client: InferenceClient,
  index: Awaited<ReturnType<typeof loadIndex>>,
): Promise<ReadyVersion[]> {
  const statistics = await client.modelStatistics('');
  const defaults = await findDefaults(client, statistics);
  const models = await mapConcurrently(statistics, MAX_CALLS, async ({ name, version }): Promise<ReadyVersion> => {
    const [metadata, config] = await Promise.all([
      client.modelMetadata(name, { version }),
      client.modelConfig(name, { version }),
    ]);
    return {
      name,
      version,
      state: 'READY',
      default: defaults.get(name) === version,
      reason: index.find((entry) => entry.name === name && entry.version === version)?.reason ?? '',
      instances: config.instanceGroup.reduce((sum, { count }) => sum + count, 0),
      execution_provider: providerOf(config),
      inputs: metadata.inputs,
      outputs: metadata.outputs,
      max_batch_size: config.maxBatchSize,
      batching: describeBatching(config),
    };
  });
  return models.sort((a, b) => a.name.localeCompare(b.name) || ascending(a.version, b.version));
}

/** By model: the version that answers requests without one. Servers that do not say it choose the highest by default. */
async function findDefaults(
  client: InferenceClient,
  ready: readonly { readonly name: string; readonly version: string }[],
): Promise<ReadonlyMap<string, string>> {
  const highest = new Map<string, string>();
  for (const { name, version } of ready) {
    const before = highest.get(name);
    if (before === undefined || ascending(before, version) < 0) highest.set(name, version);
  }
  const several = [...highest.keys()].filter((name) => ready.filter((each) => each.name === name).length > 1);
  const said = await mapConcurrently(several, MAX_CALLS, async (name): Promise<[string, string][]> => {
    const version = await client.explainModel(name).then(
      ({ traffic }) => traffic.default_version,
      (error: unknown) => {
        if (error instanceof InferenceError) return null;
        throw error;
      },
    );
    return version === null ? [] : [[name, version]];
  });
  return new Map([...highest, ...said.flat()]);
}

/** tensorgate reports its provider; other servers say the kind of their instances. */
function providerOf({ parameters, instanceGroup }: ModelConfig): string | undefined {
  const said = parameters['execution_provider']?.stringValue;
  return said ?? instanceGroup[0]?.kind.replace(/^KIND_/, '').toLowerCase();
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
