/** Plans the load of a model from its directory and its configuration, before anything is loaded. */

import path from 'node:path';
import type { ExecutionProvider, SessionSpec } from '../../worker/protocol.ts';
import type { StepOptions } from '../../worker/step-spec.ts';
import { tenantsBy } from '../batch/tenants.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import { usableCores } from '../ops/machine-capacity.ts';
import { outputLimit, type Settings, tenantWeights } from '../ops/settings.ts';
import { parseModelConfig, type ReadConfig, readModelConfig } from '../repository/config/config-file.ts';
import { type ModelConfig, ModelConfigError } from '../repository/config/model-config.ts';
import { sessionOptions } from '../repository/config/session-options.ts';
import { stepFilesOf, stepOf } from '../repository/config/step-schema.ts';
import { chooseVersions, missingVersions } from '../repository/config/version-policy.ts';
import { statFile } from '../repository/disk.ts';
import type { ModelFingerprint } from '../repository/fingerprint.ts';
import { modelFileProblem } from '../repository/model-file.ts';
import { type ModelFolder, versionFolder } from '../repository/model-repository.ts';
import { neededOutputs } from '../repository/signature/model-signature.ts';
import { instanceDefaults } from './instance-defaults.ts';
import type { ModelPlan, VersionLimits } from './planned-version.ts';

/** The server's limits and providers, for models without their own. */
export interface PlanDefaults extends VersionLimits {
  readonly executionProviders: readonly ExecutionProvider[];
  readonly strictExecutionProviders: boolean;
  /** Cores that this machine lends the server. */
  readonly cores: number;
  /** Whether models may be code of a user. */
  readonly allowsCode: boolean;
}

/** The part of the settings that models may overrule. */
export function planDefaults(settings: Omit<Settings, 'modelRepository'>): PlanDefaults {
  return {
    executionProviders: settings.executionProviders,
    strictExecutionProviders: settings.strictExecutionProviders,
    mailboxDirectory: settings.mailboxDirectory,
    loadLimitMs: settings.runnerStartTimeoutMs,
    // No unary call is waited for any longer.
    maxRunMs: settings.maxDeadlineMs,
    objectiveMs: settings.objectiveMs,
    tenantOf: settings.tenantKey === '' ? undefined : tenantsBy(settings.tenantKey, tenantWeights(settings)),
    maxMessageBytes: settings.maxMessageBytes,
    maxOutputBytes: outputLimit(settings),
    cores: usableCores(),
    allowsCode: settings.allowCodeModels,
  };
}

export interface PlanSource {
  /** Takes the place of the folder's configuration: YAML or JSON. */
  readonly configOverride?: string | undefined;
  /** Fingerprint of the directory, taken before it was read. */
  readonly fingerprint?: ModelFingerprint | undefined;
  /** The files came with a request. */
  readonly isUpload?: boolean;
}

/** Where problems of a configuration are that came with a request. */
export const OVERRIDE_NAME = "parameter 'config'";

/**
 * The versions of a model that its policy chooses.
 * @throws ModelConfigError with the reason why none of them can be served.
 */
export async function planModel(
  folder: ModelFolder,
  defaults: PlanDefaults,
  source: PlanSource = {},
): Promise<ModelPlan[]> {
  if (folder.problem !== undefined) throw new ModelConfigError(folder.problem);
  const { configOverride, fingerprint, isUpload = false } = source;
  const { config, warnings, origins } =
    configOverride === undefined
      ? await readConfig(folder)
      : parseModelConfig({ text: configOverride, name: OVERRIDE_NAME, form: 'request' }, folder.name);
  const missing = missingVersions(folder.versions, config.version_policy).map(
    (version) => `version_policy names version ${version}, which is not in its directory`,
  );
  for (const warning of [...warnings, ...missing]) {
    diagnostics.notice.publish({ level: 'warn', text: `model '${folder.name}': ${warning}` });
  }
  const versions = chooseVersions(folder.versions, config.version_policy);
  if (versions.length === 0) {
    throw new ModelConfigError(`version_policy chooses none of the versions ${folder.versions.join(', ')}`);
  }
  const step = withLimits(stepOf(config), defaults);
  if (isUpload && step?.kind === 'javascript') {
    throw new ModelConfigError(
      'the code of a model is not taken from clients: put it into the model repository (platform tensorgate_javascript)',
    );
  }
  const isEnsemble = config.ensemble_scheduling !== undefined;
  const outputs = neededOutputs(config);
  const inputs = config.input.map(({ name }) => name);
  const plan = async (version: string): Promise<ModelPlan> => {
    const modelPath = await modelPathOf(versionFolder(folder, version), config, step);
    const { count, threads, reason } =
      step === undefined ? await instanceDefaults(config, modelPath, defaults.cores) : ONE_INSTANCE;
    if (reason !== undefined && !isEnsemble) {
      diagnostics.notice.publish({ level: 'info', text: `model '${folder.name}' version ${version}: ${reason}` });
    }
    const options = sessionOptions(config, threads);
    const places = isEnsemble ? [] : placeInstances(config, count);
    return {
      ref: { name: folder.name, version },
      config,
      origins,
      directory: folder.directory,
      fingerprint: fingerprint === undefined ? undefined : (fingerprint.get(version) ?? ''),
      sessions: places.map(({ kind, deviceId }): SessionSpec => {
        if (step !== undefined) {
          return { step, modelPath, providers: ['cpu'], deviceId: 0, ...(outputs && { outputs }) };
        }
        const providers = providersFor(kind, config, defaults);
        const strictProviders = config.tensorgate.strict_execution_providers ?? defaults.strictExecutionProviders;
        return { modelPath, providers, strictProviders, deviceId, options, inputs, ...(outputs && { outputs }) };
      }),
      problem: isEnsemble ? undefined : await problemOf(step, modelPath, defaults),
      mailboxDirectory: defaults.mailboxDirectory,
      loadLimitMs: defaults.loadLimitMs,
      maxRunMs: config.tensorgate.max_run_ms ?? defaults.maxRunMs,
      objectiveMs: config.tensorgate.objective_ms ?? defaults.objectiveMs,
      tenantOf: defaults.tenantOf,
      maxMessageBytes: defaults.maxMessageBytes,
      maxOutputBytes: defaults.maxOutputBytes,
    };
  };
  return Promise.all(versions.map(plan));
}

function readConfig({ configPath, madeConfig, directory, name }: ModelFolder): Promise<ReadConfig> | ReadConfig {
  if (madeConfig === undefined) return readModelConfig(configPath, name);
  return parseModelConfig(
    { text: madeConfig, name: `${directory} (configuration made of its files)`, form: 'yaml' },
    name,
  );
}

/** A step is cheap beside its model: more instances are configured. */
const ONE_INSTANCE = { count: 1, threads: 1, reason: undefined };

/** The code of a model calls others within the limit of every message. */
function withLimits(step: StepOptions | undefined, { maxMessageBytes }: PlanDefaults): StepOptions | undefined {
  return step?.kind === 'javascript' && maxMessageBytes !== undefined
    ? { ...step, maxCallBytes: maxMessageBytes }
    : step;
}

/** A step may have one of several files: the first that is there counts. */
async function modelPathOf(folder: string, config: ModelConfig, step: StepOptions | undefined): Promise<string> {
  const [usual = config.default_model_filename, ...others] = step === undefined ? [] : stepFilesOf(step);
  for (const file of others) {
    const [first, other] = [path.join(folder, usual), path.join(folder, file)];
    if (!(await isFile(first)) && (await isFile(other))) return other;
  }
  return path.join(folder, usual);
}

async function problemOf(
  step: StepOptions | undefined,
  modelPath: string,
  { allowsCode }: Pick<PlanDefaults, 'allowsCode'>,
): Promise<string | undefined> {
  if (step === undefined) return modelFileProblem(modelPath);
  if (step.kind === 'javascript' && !allowsCode) {
    return 'it is code, which this server does not run: read it, then start the server with --allow-code-models';
  }
  const files = stepFilesOf(step);
  if (files.length === 0 || (await isFile(modelPath))) {
    return modelPath.endsWith('.ts') && process.features.typescript === false ? NO_TYPESCRIPT : undefined;
  }
  return `${path.join(path.dirname(modelPath), files.join(' or '))} does not exist: a model of the kind ${step.kind} needs it`;
}

const NO_TYPESCRIPT = `this Node.js (${process.version}) does not run TypeScript: write model.mjs, or use Node.js 24`;

async function isFile(file: string): Promise<boolean> {
  return (await statFile(file))?.isFile() === true;
}

type InstanceKind = ModelConfig['instance_group'][number]['kind'];

interface Place {
  readonly kind: InstanceKind;
  readonly deviceId: number;
}

function placeInstances({ instance_group: groups }: ModelConfig, count: number): Place[] {
  if (groups.length === 0) return Array.from({ length: count }, () => ({ kind: 'KIND_AUTO', deviceId: 0 }));
  return groups.flatMap((group) => {
    const devices = group.gpus.length > 0 && group.kind !== 'KIND_CPU' ? group.gpus : [0];
    const each = group.count ?? (group.kind === 'KIND_GPU' || group.gpus.length > 0 ? 1 : count);
    return devices.flatMap((deviceId) => Array.from({ length: each }, () => ({ kind: group.kind, deviceId })));
  });
}

function providersFor(
  kind: InstanceKind,
  { tensorgate }: ModelConfig,
  defaults: PlanDefaults,
): readonly ExecutionProvider[] {
  if (kind === 'KIND_CPU') return ['cpu'];
  const preferred = tensorgate.execution_providers ?? defaults.executionProviders;
  if (kind === 'KIND_GPU' && !preferred.some((provider) => provider !== 'cpu')) return ['cuda', ...preferred];
  return preferred;
}
