/**
 * Reads a model's configuration: YAML, JSON, or Triton's `config.pbtxt`. All go through one schema and the same rules; every
 * problem has its place.
 */

import path from 'node:path';
import { messageOf } from '../../../error-message.ts';
import { readText } from '../disk.ts';
import { type ConfigOrigins, originsIn } from './config-origins.ts';
import { readPbtxt } from './config-pbtxt.ts';
import type { Remark } from './config-remark.ts';
import { checkRules } from './config-rules.ts';
import { readJson } from './json-document.ts';
import { describeProblem, type Located, MAX_PROBLEMS, type Problem, type ReadDocument } from './located.ts';
import { MODEL_CONFIG, type ModelConfig, ModelConfigError } from './model-config.ts';
import { withOwnParameters } from './own-parameters.ts';
import { checkSchema } from './schema-check.ts';
import { readYaml } from './yaml-document.ts';

/** At most one of them lies beside a model's versions. */
export const CONFIG_NAMES = ['config.yaml', 'config.yml', 'config.json', 'config.pbtxt'] as const;

export type { ConfigOrigins };

export interface ReadConfig {
  readonly config: ModelConfig;
  /** Fields without effect, each as `file:line:column: field, and reason`. */
  readonly warnings: readonly string[];
  readonly origins: ConfigOrigins;
}

type Form = 'yaml' | 'pbtxt' | 'request';

const READERS: Readonly<Record<Form, (text: string) => ReadDocument>> = {
  yaml: readYaml,
  pbtxt: readPbtxt,
  request: readJson,
};

export interface ConfigText {
  readonly text: string;
  readonly name: string;
  /** `request`: JSON from a client of Triton. In both of Triton's forms, unknown `parameters` are a warning; in ours, an error. */
  readonly form: Form;
}

/**
 * Reads a model's configuration; without a file, the defaults.
 * @throws ModelConfigError with every problem that there is.
 */
export async function readModelConfig(configPath: string | undefined, modelName: string): Promise<ReadConfig> {
  if (configPath === undefined) return { config: MODEL_CONFIG.parse({}), warnings: [], origins: new Map() };
  const form = path.extname(configPath) === '.pbtxt' ? 'pbtxt' : 'yaml';
  return parseModelConfig({ text: await readConfigText(configPath), name: configPath, form }, modelName);
}

/** @throws ModelConfigError with every problem that there is. */
export function parseModelConfig({ text, name, form }: ConfigText, modelName: string): ReadConfig {
  const refuse = (problems: readonly Problem[]): never => {
    throw new ModelConfigError(problems.map((problem) => describeProblem(name, problem)));
  };
  const read = READERS[form](text);
  if (read.kind === 'problems') return refuse(read.problems);
  const { content, locate } = form === 'pbtxt' ? withOwnParameters(read.document) : read.document;
  const said: Located = { content: form === 'pbtxt' ? withTritonsDefaults(content) : content, locate };
  const checked = checkSchema(said, MODEL_CONFIG);
  if (checked.kind === 'problems') return refuse(checked.problems);
  const config = checked.value;
  const place = ({ path: at, text: message }: Remark): Problem => ({ ...locate(at), message });
  const { problems, warnings } = checkRules(config, {
    content,
    isTritons: form !== 'yaml',
    isClients: form === 'request',
  });
  const misnamed = config.name !== undefined && config.name !== '' && config.name !== modelName;
  if (misnamed || problems.length > 0) {
    const text = `name is '${config.name}', but the directory is '${modelName}': they must be equal`;
    const all = misnamed ? [{ path: ['name'], text }, ...problems] : problems;
    return refuse(all.slice(0, MAX_PROBLEMS).map(place));
  }
  const shown = warnings.slice(0, MAX_PROBLEMS).map((warning) => describeProblem(name, place(warning)));
  return { config: accelerated(config), warnings: shown, origins: originsIn({ content, locate }, name) };
}

async function readConfigText(configPath: string): Promise<string> {
  try {
    return await readText(configPath);
  } catch (error) {
    throw new ModelConfigError(`${configPath} cannot be read: ${messageOf(error)}`);
  }
}

/** Triton's defaults where ours differ: a model of Triton is served as before. */
const TRITONS_DEFAULTS = {
  version_policy: { latest: { num_versions: 1 } },
  queue_policy: { allow_timeout_override: false, max_queue_size: 0 },
};

function withTritonsDefaults(content: unknown): unknown {
  const { version_policy, queue_policy } = TRITONS_DEFAULTS;
  const said = fieldsOf(content);
  const dynamic = fieldsOf(said['dynamic_batching']);
  const byLevel = Object.entries(fieldsOf(dynamic['priority_queue_policy'])).map(([level, policy]) => [
    level,
    { ...queue_policy, ...fieldsOf(policy) },
  ]);
  return {
    version_policy,
    ...said,
    dynamic_batching: {
      ...dynamic,
      default_queue_policy: { ...queue_policy, ...fieldsOf(dynamic['default_queue_policy']) },
      priority_queue_policy: Object.fromEntries(byLevel),
    },
  };
}

/** The text format's reader makes objects of messages and maps. */
function fieldsOf(message: unknown): Readonly<Record<string, unknown>> {
  return typeof message === 'object' && message !== null ? (message as Readonly<Record<string, unknown>>) : {};
}

/** Triton's accelerators of GPUs are execution providers of ONNX Runtime; without one of them a model runs as it otherwise would. */
function accelerated(config: ModelConfig): ModelConfig {
  const wanted = config.optimization?.execution_accelerators?.gpu_execution_accelerator ?? [];
  if (config.tensorgate.execution_providers !== undefined) return config;
  const names = wanted.filter(({ parameters = {} }) => Object.keys(parameters).length === 0).map(({ name }) => name);
  const isTensorRt = names.includes('tensorrt');
  if (!isTensorRt && !names.includes('cuda')) return config;
  const providers = isTensorRt ? (['tensorrt', 'cuda', 'cpu'] as const) : (['cuda', 'cpu'] as const);
  return { ...config, tensorgate: { ...config.tensorgate, execution_providers: [...providers] } };
}
