/** The parts of an answer that clients depend on. Two answers with the same meaning may differ in words, order and optional fields. */

import type { Message } from '../support/stock-client.ts';

/** An answer: `OK` or `200` with a message, or another code with a text. */
export interface Reply {
  readonly code: string;
  readonly text: string;
  readonly answer: Message | readonly Message[] | undefined;
}

/** The RPC that a path of the REST interface corresponds to, and what it does not say in the path. */
const PATHS: readonly (readonly [RegExp, string])[] = [
  [/^\/v2\/models\/[^/]+\/config$/, 'ModelConfig'],
  [/^\/v2\/models\/(?:[^/]+\/)?stats$/, 'ModelStatistics'],
  [/^\/v2\/models\/[^/]+(?:\/versions\/\d+)?$/, 'ModelMetadata'],
  [/^\/v2\/models\/[^/]+\/infer$/, 'ModelInfer'],
  [/^\/v2\/repository\/index$/, 'RepositoryIndex'],
  [/^\/v2$/, 'ServerMetadata'],
];

export function rpcOfPath(path: string): string {
  return PATHS.find(([pattern]) => pattern.test(path))?.[1] ?? path;
}

/**
 * Whether ours means what theirs does: the same code, and the same facts. Ours may say more in a text.
 * @param models that both have
 */
export function sameMeaning(rpc: string, theirs: Reply, ours: Reply, models: ReadonlySet<string>): boolean {
  if (theirs.code !== ours.code) return false;
  if (theirs.code !== 'OK' && theirs.code !== '200')
    return factsOf(theirs.text).every((fact) => ours.text.includes(fact));
  if (rpc === 'ModelStreamInfer') return sameStream(listOf(theirs.answer), listOf(ours.answer));
  return JSON.stringify(meaningOf(rpc, theirs, models)) === JSON.stringify(meaningOf(rpc, ours, models));
}

/** Names in quotes, numbers, shapes, and words of a message's schema. A backend's own words are none. */
export function factsOf(text: string): string[] {
  const reply = text.replace(/^\[request id: [^\]]*\] /, '').replace(/(?:Internal: )?onnx runtime error.*/s, '');
  return [...reply.matchAll(/'([^']*)'|(\[-?\d[-\d,]*\])|(-?\d+)|(\b[a-z]+_[a-z_]+\b)/g)]
    .map(([, quoted, shape, number, word]) => quoted ?? shape ?? number ?? word ?? '')
    .filter((fact) => !WORDING.has(fact));
}

/** Cases with other wording: how Triton names missing things, and its advice. */
const WORDING = new Set(['<invalid>', 'max_batch_size', 'triton_enable_empty_final_response', 'triton_']);

/** The compared parts of an answer, with keys in a fixed order. */
export function meaningOf(rpc: string, { answer }: Reply, models: ReadonlySet<string>): unknown {
  if (rpc === 'ModelStreamInfer') return listOf(answer).map(streamed);
  const read = MEANINGS[rpc];
  const message = (answer ?? {}) as Message;
  return read === undefined ? sorted(message) : read(message, models);
}

const MEANINGS: Readonly<Record<string, (message: Message, models: ReadonlySet<string>) => unknown>> = {
  ServerMetadata: ({ extensions }) => [...(extensions ?? [])].sort(),
  ModelMetadata: ({ name, versions, platform, inputs, outputs }) => [
    ...[name, versions, platform],
    ...[inputs, outputs].map(described),
  ],
  ModelConfig: (message) => configured(message['config'] ?? message),
  ModelInfer: inferred,
  ModelStatistics: ({ model_stats }, models) =>
    ofModels(model_stats, models).map(({ name, version, inference_stats }) => [name, version, counts(inference_stats)]),
  RepositoryIndex: (message, models) =>
    ofModels(Array.isArray(message) ? message : message['models'], models).map(({ name, version, state, reason }) => [
      name,
      version ?? '',
      state ?? '',
      (reason ?? '') !== '',
    ]),
  'HTTP GET :8002/metrics': ({ text }) =>
    [...new Set([...text.matchAll(/^# TYPE (nv_\w+) (\w+)$/gm)].map(([, name, type]) => `${name} ${type}`))].sort(),
};

function inferred({ model_name, model_version, id, outputs }: Message): unknown {
  const tensors = (outputs ?? []).map(({ name, datatype, shape, data, bytes }: Message) => {
    return { name, datatype, shape: shape.map(String), data: data ?? null, bytes: bytes ?? null };
  });
  return [model_name, model_version, id ?? '', ...byName(tensors)];
}

function configured({ name, max_batch_size, input, output, version_policy, backend }: Message): unknown {
  const tensors = (all: Message[]) =>
    byName(all).map(({ name, data_type, dims, label_filename }) => [
      name,
      data_type,
      dims.map(String),
      label_filename ?? '',
    ]);
  return [name, max_batch_size, tensors(input), tensors(output), sorted(version_policy ?? {}), backend];
}

/** Whether anything ran; that every duration was counted as often as it should. */
function counts(statistics: Message | undefined): unknown {
  if (statistics === undefined) return 'not asked';
  const count = (name: string) => Number(statistics[name]?.count ?? 0);
  const parts = ['queue', 'compute_input', 'compute_infer', 'compute_output'].map(count);
  return [count('success') > 0, parts.every((part) => part === count('success'))];
}

function sameStream(theirs: readonly Message[], ours: readonly Message[]): boolean {
  const says = (fact: string, index: number): boolean => ours[index]?.['error_message'].includes(fact);
  return (
    JSON.stringify(theirs.map(streamed)) === JSON.stringify(ours.map(streamed)) &&
    theirs.every((their, index) => factsOf(their['error_message']).every((fact) => says(fact, index)))
  );
}

function streamed({ error_message, infer_response }: Message): unknown {
  if (error_message !== '') return ['failed', infer_response?.id ?? ''];
  const final = infer_response.parameters?.triton_final_response?.bool_param ?? null;
  return ['answered', final, inferred(infer_response)];
}

function described(tensors: readonly Message[]): unknown {
  return byName(tensors).map(({ name, datatype, shape }) => [name, datatype, shape.map(String)]);
}

function ofModels(entries: Message[] | undefined, models: ReadonlySet<string>): Message[] {
  return byName((entries ?? []).filter(({ name }) => models.has(name)));
}

function byName(entries: readonly Message[]): Message[] {
  const key = ({ name, version = '' }: Message) => `${name} ${version}`;
  return [...entries].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** The same value, with keys in alphabetical order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, part]) => [key, sorted(part)]));
}

function listOf(answer: Reply['answer']): readonly Message[] {
  return Array.isArray(answer) ? answer : answer === undefined ? [] : [answer as Message];
}
