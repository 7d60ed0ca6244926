/** The model version that candidates are made from and compared with. */

import path from 'node:path';
import type { PlanDefaults } from '../gateway/models/model-plan.ts';
import { planModel } from '../gateway/models/model-plan.ts';
import type { ModelConfig } from '../gateway/repository/config/model-config.ts';
import { stepOf } from '../gateway/repository/config/step-schema.ts';
import { listNames, type ModelFolder, readModel, versionFolder } from '../gateway/repository/model-repository.ts';
import { nameOfPart, partOf } from '../gateway/repository/part-name.ts';
import { MAILBOX_DIRECTORY } from '../mailbox-directory.ts';
import { suggestion } from '../suggestion.ts';
import { ANY_OUTPUT_BYTES } from '../worker/protocol.ts';
import { readTextParts, type TextParts, tokenizerBeside } from './text-parts.ts';

export interface Target {
  readonly folder: ModelFolder;
  readonly config: ModelConfig;
  readonly version: string;
  readonly versionDirectory: string;
  readonly modelPath: string;
  /** Only of a model that has a tokenizer. */
  readonly text?: TextParts;
}

/** The model, or its version, is not there, or cannot be compared. */
export class TargetError extends Error {}

/**
 * @param version of the model; by default the version that serves unversioned requests once all are loaded.
 * @throws RepositoryError, ModelConfigError or TargetError where there is no such version
 */
export async function findTarget(repository: string, name: string, version: string | undefined): Promise<Target> {
  const { models: known } = await listNames(repository);
  if (!known.includes(name)) {
    throw new TargetError(
      `there is no model '${name}' in ${repository}${known.length === 0 ? ', which is empty' : suggestion(name, known)}`,
    );
  }
  // A folder of Hugging Face is an ensemble of its parts.
  const inner = nameOfPart(name, MODEL_PART);
  const folder = await readModel(repository, known.includes(inner) ? inner : name);
  const plans = await planModel(folder, DEFAULTS);
  const [first] = plans;
  if (first === undefined || first.config.ensemble_scheduling !== undefined) {
    throw new TargetError(`model '${name}' is an ensemble, which has no file of its own: name the model of a step`);
  }
  const { config } = first;
  if (stepOf(config) !== undefined) throw new TargetError(`model '${name}' is a step, which has no ONNX file`);
  // Also one that is not served may be compared with.
  const chosen = version ?? defaultOf(config, folder.versions);
  if (!folder.versions.includes(chosen)) {
    throw new TargetError(`model '${name}' has no version ${chosen}: it has ${folder.versions.join(', ')}`);
  }
  const versionDirectory = versionFolder(folder, chosen);
  const modelPath = path.join(versionDirectory, config.default_model_filename);
  const text = await textPartsOf(repository, folder, path.dirname(modelPath), known);
  return { folder, config, version: chosen, versionDirectory, modelPath, ...(text !== undefined && { text }) };
}

const MODEL_PART = 'model';

/** @throws TargetError where versions cannot be added, or golden inputs kept */
export function requireVersions({ folder }: Target): void {
  if (folder.madeConfig === undefined) return;
  throw new TargetError(
    `the files of model '${folder.name}' lie in ${folder.directory} itself, where no version can be added: move its ONNX file to a model with versions, as <model>/1/model.onnx`,
  );
}

function textPartsOf(
  repository: string,
  { name, madeConfig, directory }: ModelFolder,
  besideModel: string,
  known: readonly string[],
): Promise<TextParts | undefined> {
  if (madeConfig === undefined) return tokenizerBeside(besideModel, directory);
  const { folder } = partOf(name);
  return readTextParts(folder, directory, async (part) => {
    const whole = nameOfPart(folder, part);
    const source = known.includes(whole) ? await readModel(repository, whole) : undefined;
    // A folder without a chain from text has parts all the same.
    if (source?.problem !== undefined || source === undefined) return undefined;
    return (await planModel(source, DEFAULTS))[0]?.config;
  });
}

/** The version with the largest share, or the highest. */
export function defaultOf({ tensorgate }: ModelConfig, versions: readonly string[]): string {
  const shadow = tensorgate.traffic.shadow?.version;
  const split = Object.entries(tensorgate.traffic.split ?? {}).filter(([version]) => versions.includes(version));
  const largest = split.sort(([, a], [, b]) => b - a)[0]?.[0];
  return largest ?? versions.findLast((version) => version !== shadow) ?? versions.at(-1) ?? '';
}

/** Only the paths and the configuration of a plan matter here. */
const DEFAULTS: PlanDefaults = {
  executionProviders: ['cpu'],
  strictExecutionProviders: false,
  mailboxDirectory: MAILBOX_DIRECTORY,
  loadLimitMs: 120_000,
  maxRunMs: 600_000,
  maxOutputBytes: ANY_OUTPUT_BYTES,
  cores: 1,
  allowsCode: false,
};
