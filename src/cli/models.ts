import type { InferenceClient, ModelConfig, TensorMetadata } from '../client/inference-client.ts';
import { formatExactJson } from '../wire/exact-json.ts';
import { describeTensors } from './model-signature.ts';
import { type ConnectionOptions, withClient } from './server-connection.ts';
import { formatTable } from './table.ts';

export interface ModelsFlags extends ConnectionOptions {
  readonly json?: boolean;
}

interface ModelVersion {
  readonly name: string;
  readonly version: string;
  /** Servers list statistics of what is ready, and of nothing else. */
  readonly state: 'READY';
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
  readonly max_batch_size: number;
  readonly batching: string;
  readonly execution_provider: string | undefined;
}

/** Prints which model versions a server has ready, and how it serves them. Returns the exit code. */
export async function listModels(flags: ModelsFlags): Promise<number> {
  const models = await withClient(flags, loadModels);
  if (flags.json === true) {
    process.stdout.write(`${formatExactJson(models)}\n`);
  } else if (models.length === 0) {
    process.stderr.write(`no model is ready at ${flags.url}\n`);
  } else {
    const rows = models.map((model) => [
      model.name,
      model.version,
      model.state,
      describeTensors(model.inputs),
      describeTensors(model.outputs),
      model.batching,
    ]);
    process.stdout.write(formatTable(['model', 'version', 'state', 'inputs', 'outputs', 'batching'], rows));
  }
  return 0;
}

async function loadModels(client: InferenceClient): Promise<ModelVersion[]> {
  const statistics = await client.modelStatistics('');
  const models = await Promise.all(
    statistics.map(async ({ name, version }): Promise<ModelVersion> => {
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
  return models.sort((a, b) => a.name.localeCompare(b.name) || Number(a.version) - Number(b.version));
}

/** tensorgate says whether it batches and why not; of another server the configuration tells. */
function describeBatching({ parameters, dynamicBatching, maxBatchSize }: ModelConfig): string {
  const said = parameters['batching']?.stringValue;
  if (said !== undefined) return said;
  if (maxBatchSize === 0) return 'off: max_batch_size is 0';
  return dynamicBatching ? `on (max ${maxBatchSize})` : 'off: no dynamic_batching in its configuration';
}
