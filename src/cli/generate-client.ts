import { readFile, rename, writeFile } from 'node:fs/promises';
import { type InferenceClient, InferenceError, type ModelConfig } from '../client/inference-client.ts';
import { messageOf } from '../error-message.ts';
import { CliError } from './cli-error.ts';
import { mapConcurrently } from './concurrency.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { type DescribedModel, modelsModule } from './models-module.ts';
import { withClient } from './server-connection.ts';

export interface GenerateFlags extends ConnectionOptions {
  readonly out: string;
  /** The package that has the client. */
  readonly import: string;
  readonly check?: boolean;
}

/** Models that are asked about at a time. */
const MAX_CALLS = 16;

/** Writes a typed client of models, or compares it with the file. Returns the exit code. */
export async function generateClient(names: readonly string[], flags: GenerateFlags): Promise<number> {
  const { out } = flags;
  if (!/\.[cm]?ts$/.test(out)) throw new CliError(`--out ${out}: expected a TypeScript file, such as models.ts`);
  const models = await withClient(flags, async (client) => {
    const asked = names.length > 0 ? [...new Set(names)] : await readyModels(client);
    return mapConcurrently(asked, MAX_CALLS, (name) => describe(client, name));
  });
  if (models.length === 0) throw new CliError('no model of the server is ready: name those to generate a client of');
  // All of the text is there before anything is written.
  const text = modelsModule(models, flags.import);
  return flags.check === true ? check(out, text) : write(out, text, models.length);
}

async function check(out: string, text: string): Promise<number> {
  const before = await readFile(out, 'utf8').catch((error: unknown) => {
    throw new CliError(`--check: cannot read '${out}': ${messageOf(error)}`, { cause: error });
  });
  if (before === text) return 0;
  throw new CliError(
    `'${out}' is not what the server has now, from line ${firstDifference(before, text)}: generate it again without --check`,
  );
}

function firstDifference(before: string, now: string): number {
  const [left, right] = [before.split('\n'), now.split('\n')];
  return 1 + right.findIndex((line, index) => line !== left[index]);
}

async function write(out: string, text: string, count: number): Promise<number> {
  const partial = `${out}.${process.pid}.tmp`;
  try {
    await writeFile(partial, text);
    await rename(partial, out);
  } catch (error) {
    throw new CliError(`--out: cannot write '${out}': ${messageOf(error)}`, { cause: error });
  }
  process.stdout.write(`${out}: ${count} ${count === 1 ? 'model' : 'models'}\n`);
  return 0;
}

/** @throws CliError where the server has no index */
async function readyModels(client: InferenceClient): Promise<string[]> {
  const index = await client.repositoryIndex().catch((error: unknown) => {
    if (!(error instanceof InferenceError) || error.status !== 'UNIMPLEMENTED') throw error;
    throw new CliError('the server lists no models: name those to generate a client of', { cause: error });
  });
  return [...new Set(index.filter(({ state }) => state === 'READY').map(({ name }) => name))];
}

async function describe(client: InferenceClient, name: string): Promise<DescribedModel> {
  const [metadata, config] = await Promise.all([client.modelMetadata(name), configOf(client, name)]);
  return { name, metadata, config };
}

/** `undefined` for a server without ModelConfig, such as KServe's: shapes, datatypes and versions are known without it. */
async function configOf(client: InferenceClient, name: string): Promise<ModelConfig | undefined> {
  try {
    return await client.modelConfig(name);
  } catch (error) {
    if (error instanceof InferenceError && error.status === 'UNIMPLEMENTED') return undefined;
    throw error;
  }
}
