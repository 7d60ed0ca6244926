import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { type InferenceClient, InferenceError, type ModelExplanation } from '../client/inference-client.ts';
import type { SettingsSources } from '../gateway/ops/settings-sources.ts';
import { RepositoryError } from '../gateway/repository/model-repository.ts';
import { suggestion } from '../suggestion.ts';
import { formatExactJson } from '../wire/exact-json.ts';
import { CliError } from './cli-error.ts';
import { type ConnectionOptions, connectionOf } from './connection-options.ts';
import { formatExplanation } from './explanation-text.ts';
import { explainByStandardApi } from './foreign-explanation.ts';
import { nearestModels } from './nearest-models.ts';
import { withClient } from './server-connection.ts';
import type { ConfigFlags } from './setting-options.ts';
import { isSidePart } from './side-part.ts';
import { toOneLine } from './terminal-text.ts';
import { withTrialServer } from './trial-server.ts';

export interface ExplainFlags extends ConnectionOptions, ConfigFlags {
  /** The only model of a repository to explain. */
  readonly model?: string;
  readonly version?: string;
  readonly json?: boolean;
  /** Source of the server's name: `cli` makes the argument a name, `env` only where no such path exists. */
  readonly server: string | undefined;
}

/**
 * Explains a model on a server, or loads the models at a path and explains each. Returns the exit code: 1 where a model does not
 * load.
 * @param what the name or the path; `undefined` stands for the repository of the settings
 * @param given settings of the command line, by key
 * @throws CliError
 */
export function explain(
  what: string | undefined,
  given: SettingsSources['flags'],
  flags: ExplainFlags,
  version: string,
): Promise<number> {
  const { server } = flags;
  const isName = server === 'cli' || (server === 'env' && what !== undefined && !existsSync(what));
  if (what !== undefined && isName) return explainOnServer(what, flags);
  return explainAtPath(what, given, flags, version);
}

async function explainOnServer(model: string, flags: ExplainFlags): Promise<number> {
  const { version } = flags;
  const explanation = await withClient(connectionOf(flags), (client) => askServer(client, model, version));
  print([explanation], flags);
  return explanation.state === 'READY' ? 0 : 1;
}

/** Where a server does not offer the call, or not to this client, the calls of the protocol replace it. */
async function askServer(
  client: InferenceClient,
  model: string,
  version: string | undefined,
): Promise<ModelExplanation> {
  try {
    return await client.explainModel(model, { version });
  } catch (error) {
    const isRefused = error instanceof InferenceError && ['UNIMPLEMENTED', 'PERMISSION_DENIED'].includes(error.status);
    if (!isRefused) throw error;
    return explainByStandardApi(client, model, version);
  }
}

async function explainAtPath(
  what: string | undefined,
  given: SettingsSources['flags'],
  flags: ExplainFlags,
  version: string,
): Promise<number> {
  const explained: ModelExplanation[] = [];
  const failures: string[] = [];
  await withTrialServer(what, { given, flags, version }, async (client, names) => {
    // One after the other: models that are measured at the same time would slow each other down.
    for (const name of chosenModels(names, flags.model)) {
      try {
        await client.loadModel(name);
        explained.push(await withRealFile(await client.explainModel(name, { version: flags.version })));
        await client.unloadModel(name, { dependents: true });
      } catch (error) {
        if (!(error instanceof InferenceError)) throw error;
        const hint = error.status === 'NOT_FOUND' ? await nearestModels(client, name) : '';
        failures.push(`${error.message}${hint}`);
      }
    }
  }).catch(explainPath);
  print(explained, flags);
  for (const failure of failures) process.stderr.write(`error: ${toOneLine(failure)}\n`);
  return failures.length === 0 ? 0 : 1;
}

/** A model that is served by itself lies in a temporary repository as a link. */
async function withRealFile(explanation: ModelExplanation): Promise<ModelExplanation> {
  const { file } = explanation;
  return { ...explanation, file: file === null ? null : await realpath(file) };
}

function chosenModels(names: readonly string[], model: string | undefined): readonly string[] {
  if (model === undefined) return names.filter((name) => !isSidePart(name));
  if (names.includes(model)) return [model];
  throw new CliError(`there is no model '${model}' here${suggestion(model, names)}`);
}

function explainPath(error: unknown): never {
  if (!(error instanceof RepositoryError)) throw error;
  throw new CliError(error.message, { cause: error });
}

/** JSON of one model is an object, of a repository with several a list. */
function print(explained: readonly ModelExplanation[], { json }: ExplainFlags): void {
  if (json !== true) process.stdout.write(explained.map(formatExplanation).join('\n'));
  else process.stdout.write(`${formatExactJson(explained.length === 1 ? explained[0] : explained)}\n`);
}
