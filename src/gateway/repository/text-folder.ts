/** A folder with a tokenizer, as Hugging Face, Optimum or sentence-transformers exports it: from text to vectors, classes or scores. */

import { createHash } from 'node:crypto';
import path from 'node:path';
import { architectureOf, classesOf, type Ending, type ExportChain, headOf } from './export-chain.ts';
import { type Json, readJson, sizeOf } from './exported-files.ts';
import { nameOfPart } from './part-name.ts';
import { readGraphInputs, readGraphOutputs } from './signature/graph-inputs.ts';

/** Most rows of a request of the ensemble; its models split it. */
const MAX_ROWS = 1_024;

interface Export {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly config: Json;
  /** `modules.json` of sentence-transformers; absent where there is none. */
  readonly modules: readonly Json[] | undefined;
  /** `1_Pooling/config.json`; absent where there is none. */
  readonly pooling: Json | undefined;
}

async function readExport(directory: string, file: string): Promise<Export> {
  const [inputs, outputs] = [
    await readGraphInputs(path.join(directory, file)),
    await readGraphOutputs(path.join(directory, file)),
  ];
  const config = await readJson(directory, 'config.json');
  const modules = await readJson(directory, 'modules.json');
  if (modules !== undefined && !Array.isArray(modules)) throw new Error('modules.json: expected a list of modules');
  const list = modules as readonly Json[] | undefined;
  const place = list?.find(({ type }) => lastWord(type) === 'Pooling')?.['path'];
  const pooling = await readJson(
    directory,
    `${typeof place === 'string' && place !== '' ? place : '1_Pooling'}/config.json`,
  );
  return {
    inputs: [...inputs],
    outputs: [...outputs],
    config: (config ?? {}) as Json,
    modules: list,
    pooling: pooling as Json | undefined,
  };
}

/** Outputs of a tokenizer, and inputs of encoders. */
const TOKENS = ['input_ids', 'attention_mask', 'token_type_ids'] as const;

/** @param file the ONNX file, from the folder @throws Error where a file cannot be read */
export async function describeTextFolder(directory: string, name: string, file: string): Promise<ExportChain> {
  return describe(name, file, await readExport(directory, file));
}

function describe(name: string, file: string, { inputs, outputs, ...exported }: Export): ExportChain {
  const { config } = exported;
  const pad = config['pad_token_id'];
  const padding =
    typeof pad === 'number' && pad > 0 ? { tensorgate: { padding: { input_ids: pad, attention_mask: 0 } } } : {};
  const configs = new Map<string, object>([
    ['model', { default_model_filename: file, ...(inputs.includes('input_ids') && padding) }],
  ]);
  const foreign = inputs.find((input) => !TOKENS.some((token) => token === input));
  const taken = TOKENS.filter((token) => inputs.includes(token));
  const ending = endingOf(exported, outputs);
  const isPair = typeof ending !== 'string' && ending.isPair;
  const runner = runnerOf(name);
  const tokens = taken.map((token) => ({ name: token, data_type: 'TYPE_INT64', dims: [-1] }));
  configs.set('tokenizer', {
    platform: 'tensorgate_tokenizer',
    ...(foreign === undefined && { output: tokens }),
    tensorgate: { runner, ...(isPair && { tokenizer: { pair: true } }) },
  });
  configs.set('detokenizer', { platform: 'tensorgate_tokenizer', tensorgate: { runner, tokenizer: { decode: true } } });
  const served = `${nameOfPart(name, 'tokenizer')} and ${nameOfPart(name, 'model')} are served`;
  if (foreign !== undefined) {
    const problem = `'${name}' has no chain from text: its model takes the input '${foreign}', which no tokenizer gives; ${served}`;
    return { configs, problem };
  }
  if (typeof ending === 'string') {
    return { configs, problem: `'${name}' has no chain from text: ${ending}; ${served}` };
  }
  if (ending.part !== undefined) configs.set(ending.part.name, ending.part.config);
  configs.set('', ensembleOf(name, taken, ending));
  return { configs, problem: undefined };
}

const RUNNER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The process of both directions of a tokenizer. A folder may have a longer name than a runner. */
function runnerOf(name: string): string {
  const runner = `${name}.tokenizer`;
  if (RUNNER_NAME.test(runner)) return runner;
  return `tokenizer-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}

/** @returns why it is not known what to do with the outputs of the model, if so */
function endingOf(
  { config, modules, pooling }: Omit<Export, 'inputs' | 'outputs'>,
  outputs: readonly string[],
): Ending | string {
  const [first] = outputs;
  const width =
    sizeOf(pooling?.['word_embedding_dimension']) ??
    sizeOf(pooling?.['embedding_dimension']) ??
    sizeOf(config['hidden_size']);
  const vector = [{ name: 'sentence_embedding', data_type: 'TYPE_FP32', dims: [width ?? -1] }];
  if (first === undefined) return 'the outputs of its model cannot be read';
  if (outputs.includes('sentence_embedding')) return { output: 'sentence_embedding', given: vector, isPair: false };
  const head = headOf(config);
  if (
    modules === undefined &&
    pooling === undefined &&
    (head === 'SequenceClassification' || outputs.includes('logits'))
  ) {
    return head === 'SequenceClassification'
      ? classesOf(config, outputs.includes('logits') ? 'logits' : first)
      : `config.json says ${String(architectureOf(config) ?? 'nothing of an architecture')}, and only classifiers of sequences have classes`;
  }
  const mode = pooling === undefined ? 'mean' : poolingModeOf(pooling);
  if (mode === undefined)
    return `its pooling is ${enabledModes(pooling ?? {}).join(' and ') || 'none'}, expected one of mean, cls, last and max tokens`;
  const others = (modules ?? []).map(({ type }) => lastWord(type)).filter((type) => !KNOWN_MODULES.includes(type));
  if (others.length > 0) return `modules.json has the module ${others[0]}, which is not a step`;
  const normalize = modules === undefined || modules.some(({ type }) => lastWord(type) === 'Normalize');
  const states = ['last_hidden_state', 'token_embeddings'].find((name) => outputs.includes(name)) ?? first;
  const options = { mode, normalize, ...(width !== undefined && { width }) };
  return {
    part: {
      name: 'pooling',
      config: { platform: 'tensorgate_pooling', tensorgate: { pooling: options } },
      inputs: { last_hidden_state: states, attention_mask: 'attention_mask' },
    },
    output: states,
    given: vector,
    isPair: false,
  };
}

const KNOWN_MODULES: readonly string[] = ['Transformer', 'Pooling', 'Normalize'];

function ensembleOf(name: string, taken: readonly string[], { part, output, given, isPair }: Ending): object {
  const same = (names: readonly string[]): object => Object.fromEntries(names.map((each) => [each, each]));
  const texts = isPair ? ['text', 'text_pair'] : ['text'];
  const outputs = given.map((each) => each.name);
  return {
    platform: 'ensemble',
    max_batch_size: MAX_ROWS,
    input: texts.map((text) => ({ name: text, data_type: 'TYPE_STRING', dims: [] })),
    output: given,
    ensemble_scheduling: {
      step: [
        { model_name: nameOfPart(name, 'tokenizer'), input_map: same(texts), output_map: same(taken) },
        { model_name: nameOfPart(name, 'model'), input_map: same(taken), output_map: same([output]) },
        ...(part === undefined
          ? []
          : [{ model_name: nameOfPart(name, part.name), input_map: part.inputs, output_map: same(outputs) }]),
      ],
    },
  };
}

/** By the key of sentence-transformers' configuration. */
const POOLING_KEYS = {
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_cls_token: 'cls',
  pooling_mode_lasttoken: 'last',
  pooling_mode_max_tokens: 'max',
} as const;

/** `undefined` where there are several, or another. */
function poolingModeOf(pooling: Json): string | undefined {
  const [first, second] = enabledModes(pooling);
  if (second !== undefined || first === undefined) return undefined;
  return Object.hasOwn(POOLING_KEYS, first)
    ? POOLING_KEYS[first as keyof typeof POOLING_KEYS]
    : SHORT_MODES.find((mode) => mode === first);
}

/** Newer files name the mode. */
const SHORT_MODES = ['mean', 'cls', 'max'] as const;

function enabledModes(pooling: Json): string[] {
  const { pooling_mode: mode } = pooling;
  if (typeof mode === 'string') return [mode === 'lasttoken' ? 'pooling_mode_lasttoken' : mode];
  return Object.keys(pooling).filter((key) => key.startsWith('pooling_mode_') && pooling[key] === true);
}

/** The class of a module's type, such as `sentence_transformers.models.Pooling`. */
function lastWord(type: unknown): string {
  return String(type).split('.').at(-1) ?? '';
}
