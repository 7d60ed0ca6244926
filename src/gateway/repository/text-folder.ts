/**
 * A folder as Hugging Face, Optimum or sentence-transformers exports it: an ONNX file, a tokenizer, and the files of sentence-transformers. It
 * is served as an ensemble of the folder's name, with parts such as `minilm:tokenizer`, from configurations that are made here.
 *
 * FOLDER-1: no folder of a repository has the name of a part, because names of folders have no colon.
 */

import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import { absent, readEntries, readText } from './disk.ts';
import { readGraphInputs, readGraphOutputs } from './signature/graph-inputs.ts';
import { isVersionName } from './version-number.ts';

const PART_MARK = ':';
/** Most rows of a request of the ensemble; its models split it. */
const MAX_ROWS = 1_024;
/** The version of all parts. */
export const TEXT_VERSION = '1';

export interface TextFolder {
  /** Configurations in JSON by part; the ensemble has the key `''`. */
  readonly configs: ReadonlyMap<string, string>;
  /** Why there is no ensemble, if so. */
  readonly problem: string | undefined;
}

/** The folder of a model, and the part of it, which is `''` for the folder itself. */
export function partOf(name: string): { readonly folder: string; readonly part: string } {
  const mark = name.indexOf(PART_MARK);
  return mark < 0 ? { folder: name, part: '' } : { folder: name.slice(0, mark), part: name.slice(mark + 1) };
}

export function nameOfPart(folder: string, part: string): string {
  return part === '' ? folder : `${folder}${PART_MARK}${part}`;
}

/** `undefined` where the folder is something else: it has versions, a configuration of Triton, or no tokenizer, or no ONNX file. */
export async function readTextFolder(directory: string, name: string): Promise<TextFolder | undefined> {
  const names = await namesIn(directory);
  if (!names.includes('tokenizer.json') || names.some((entry) => isVersionName(entry) || TRITONS.test(entry)))
    return undefined;
  const files = await onnxFiles(directory, names);
  if (files.length === 0) return undefined;
  const file =
    files.find((each) => path.basename(each) === 'model.onnx') ?? (files.length === 1 ? files[0] : undefined);
  if (file === undefined) {
    const problem = `${directory} holds ${files.length} ONNX files and no model.onnx: rename one of ${files.join(', ')}`;
    return { configs: new Map(), problem };
  }
  try {
    return describe(name, file, await readExport(directory, file));
  } catch (error) {
    return { configs: new Map(), problem: `${directory}: ${messageOf(error)}` };
  }
}

/** A JSON of that name is Hugging Face's own. */
const TRITONS = /^config\.(pbtxt|ya?ml)$/;

/** Paths from the folder. Variants lie beside `model.onnx`, and Optimum uses `onnx/`. */
async function onnxFiles(directory: string, names: readonly string[]): Promise<string[]> {
  const own = names.filter((name) => name.endsWith('.onnx'));
  if (own.length > 0) return own.sort();
  if (!names.includes('onnx')) return [];
  const inner = (await namesIn(path.join(directory, 'onnx'))).filter((name) => name.endsWith('.onnx'));
  return inner.sort().map((name) => `onnx/${name}`);
}

type Json = Readonly<Record<string, unknown>>;

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

function describe(name: string, file: string, { inputs, outputs, ...exported }: Export): TextFolder {
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
  const tokens = taken.map((token) => ({ name: token, data_type: 'TYPE_INT64', dims: [-1, -1] }));
  configs.set('tokenizer', {
    platform: 'tensorgate_tokenizer',
    ...(foreign === undefined && { output: tokens }),
    ...(isPair && { tensorgate: { tokenizer: { pair: true } } }),
  });
  const texts = (problem: string | undefined): TextFolder => ({
    configs: new Map([...configs].map(([part, each]) => [part, JSON.stringify(each)])),
    problem,
  });
  const served = `${nameOfPart(name, 'tokenizer')} and ${nameOfPart(name, 'model')} are served`;
  if (foreign !== undefined) {
    return texts(
      `'${name}' has no chain from text: its model takes the input '${foreign}', which no tokenizer gives; ${served}`,
    );
  }
  if (typeof ending === 'string') return texts(`'${name}' has no chain from text: ${ending}; ${served}`);
  if (ending.part !== undefined) configs.set(ending.part.name, ending.part.config);
  configs.set('', ensembleOf(name, taken, ending));
  return texts(undefined);
}

/** The step behind the model, if there is one. */
interface Ending {
  readonly part?: { readonly name: string; readonly config: object; readonly inputs: Readonly<Record<string, string>> };
  /** Output of the model that goes on. */
  readonly output: string;
  /** Outputs of the ensemble. */
  readonly given: readonly { readonly name: string; readonly data_type: string; readonly dims: readonly number[] }[];
  /** Rows are pairs of texts. */
  readonly isPair: boolean;
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
  const [architecture] = Array.isArray(config['architectures']) ? (config['architectures'] as unknown[]) : [];
  const head = /For(?<head>\w+)$/.exec(String(architecture ?? ''))?.groups?.['head'];
  if (
    modules === undefined &&
    pooling === undefined &&
    (head === 'SequenceClassification' || outputs.includes('logits'))
  ) {
    return head === 'SequenceClassification'
      ? classesOf(config, outputs.includes('logits') ? 'logits' : first)
      : `config.json says ${String(architecture ?? 'nothing of an architecture')}, and only classifiers of sequences have classes`;
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

/** A classifier with one logit is a reranker, which takes pairs, or a regression. */
function classesOf(config: Json, output: string): Ending {
  const named = config['id2label'];
  const byId = typeof named === 'object' && named !== null ? Object.entries(named) : [];
  const labels = byId.sort(([a], [b]) => Number(a) - Number(b)).map(([, label]) => String(label));
  const isSingle = labels.length === 1 || config['num_labels'] === 1;
  const problem = config['problem_type'];
  const isSigmoid = problem === 'multi_label_classification' || (isSingle && problem !== 'regression');
  const name = isSigmoid ? 'sigmoid' : isSingle || problem === 'regression' ? 'none' : 'softmax';
  const dims = [labels.length > 0 ? labels.length : isSingle ? 1 : -1];
  const score = { name: 'score', data_type: 'TYPE_FP32', dims };
  const options = { function: name, labels: isSingle ? ['score'] : labels };
  return {
    part: {
      name: 'labels',
      config: { platform: 'tensorgate_labels', tensorgate: { classes: options } },
      inputs: { logits: output },
    },
    output,
    given: isSingle ? [score] : [{ name: 'label', data_type: 'TYPE_STRING', dims }, score],
    isPair: isSingle && problem !== 'regression',
  };
}

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

function sizeOf(value: unknown): number | undefined {
  return Number.isInteger(value) && (value as number) > 0 ? (value as number) : undefined;
}

/** The class of a module's type, such as `sentence_transformers.models.Pooling`. */
function lastWord(type: unknown): string {
  return String(type).split('.').at(-1) ?? '';
}

async function readJson(directory: string, name: string): Promise<unknown> {
  const text = await readText(path.join(directory, name)).catch(absent);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) throw new Error('expected an object');
    return value;
  } catch (error) {
    throw new Error(`${name}: ${messageOf(error)}`, { cause: error });
  }
}

/** None where the folder is gone meanwhile, or may not be read. */
async function namesIn(directory: string): Promise<string[]> {
  return ((await readEntries(directory).catch(absent)) ?? []).map(({ name }) => name);
}
