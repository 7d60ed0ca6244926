import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import {
  type AnyTensor,
  type InferenceClient,
  InferenceError,
  type InferenceResult,
  type ModelMetadata,
  type OutputOptions,
  type Shape,
  type TensorMetadata,
} from '../client/inference-client.ts';
import { messageOf } from '../error-message.ts';
import { formatExactJson } from '../wire/exact-json.ts';
import { decodeText } from '../wire/text-encoding.ts';
import { CliError } from './cli-error.ts';
import { mapConcurrently } from './concurrency.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { findImageLayout, type ImageLayout, readImage } from './image-input.ts';
import { describeTensors } from './model-signature.ts';
import { Progress } from './progress.ts';
import { readRawInput } from './raw-input.ts';
import { parseJsonRequest } from './rest-request.ts';
import { toPlainValues, toRestResponse } from './rest-response.ts';
import { describeRefusal, withClient } from './server-connection.ts';
import { formatTable } from './table.ts';
import { toOneLine } from './terminal-text.ts';

/** Images under way at a time: enough to fill the largest usual batch. */
const MAX_IN_FLIGHT = 64;

/** Elements that a table shows of an output that is no classification. */
const MAX_SHOWN = 8;

/** Flags of a request, whatever its inputs come from. */
interface RequestFlags extends ConnectionOptions {
  readonly version?: string;
  /** The outputs to answer with; without it, all. */
  readonly output?: readonly string[];
}

/** The options of `infer`; exactly one of `image`, `json` and `raw` is there. */
export interface InferFlags extends RequestFlags {
  readonly image?: readonly string[];
  /** A file, or `-` for stdin. */
  readonly json?: string;
  /** From the name of an input to the file with its raw contents. */
  readonly raw?: ReadonlyMap<string, string>;
  readonly shape?: ReadonlyMap<string, Shape>;
  /** How many classes of each image to show. */
  readonly top: number;
  readonly jsonOutput?: boolean;
}

/** Runs a model once, or once per image, and prints what it answers. Returns the exit code. */
export function infer(model: string, flags: InferFlags): Promise<number> {
  return withClient(flags, (client) => {
    if (flags.image !== undefined) return inferImages(client, model, { ...flags, image: flags.image });
    if (flags.json !== undefined) return inferJson(client, model, { ...flags, json: flags.json });
    return inferRaw(client, model, flags);
  });
}

async function inferJson(
  client: InferenceClient,
  model: string,
  flags: RequestFlags & { readonly json: string },
): Promise<number> {
  const { version, json: file } = flags;
  const source = file === '-' ? 'stdin' : `'${file}'`;
  const body = await (file === '-' ? buffer(process.stdin) : readFile(file)).catch((error: unknown) => {
    throw new CliError(`cannot read ${source}: ${messageOf(error)}`, { cause: error });
  });
  const request = await parseJsonRequest(decodeText(body), source, () => client.modelMetadata(model, { version }));
  const outputs = flags.output ?? request.options.outputs;
  printJson(toRestResponse(await client.infer(model, request.inputs, { ...request.options, version, outputs })));
  return 0;
}

async function inferRaw(client: InferenceClient, model: string, flags: InferFlags): Promise<number> {
  const { version, output: outputs } = flags;
  const metadata = await client.modelMetadata(model, { version });
  const inputs = new Map<string, AnyTensor>();
  for (const [name, file] of flags.raw ?? []) {
    inputs.set(name, await readRawInput(metadata, name, file, flags.shape?.get(name)));
  }
  printJson(toRestResponse(await client.infer(model, Object.fromEntries(inputs), { version, outputs })));
  return 0;
}

/** @throws CliError that names the other ways to give inputs */
function imageLayoutOf(metadata: ModelMetadata): ImageLayout {
  try {
    return findImageLayout(metadata);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    throw new CliError(`${error.message}; use --json or --raw`, { cause: error });
  }
}

type ImageAnswer = { readonly file: string; readonly result: InferenceResult } | { readonly failure: string };

async function inferImages(
  client: InferenceClient,
  model: string,
  flags: InferFlags & { readonly image: readonly string[] },
): Promise<number> {
  const { version, image: files } = flags;
  const metadata = await client.modelMetadata(model, { version });
  const layout = imageLayoutOf(metadata);
  const outputs = toOutputOptions(findOutputs(metadata, flags.output), flags.top);
  const progress = new Progress(files.length);
  const answers = await mapConcurrently(files, MAX_IN_FLIGHT, async (file): Promise<ImageAnswer> => {
    try {
      const image = await readImage(file, layout);
      return { file, result: await client.infer(model, { [layout.input]: image }, { version, outputs }) };
    } catch (error) {
      if (error instanceof CliError) return { failure: error.message };
      if (error instanceof InferenceError) return { failure: `${file}: ${describeRefusal(error)}` };
      throw error;
    } finally {
      progress.tick();
    }
  });
  const answered = answers.filter((answer) => 'result' in answer);
  const failed = answers.filter((answer) => 'failure' in answer);
  if (flags.jsonOutput === true) {
    for (const { file, result } of answered) printJson({ image: file, ...toRestResponse(result) });
  } else if (answered.length > 0) {
    process.stdout.write(formatAnswers(answered));
  }
  for (const { failure } of failed) process.stderr.write(`error: ${toOneLine(failure)}\n`);
  return failed.length === 0 ? 0 : 1;
}

function printJson(value: unknown): void {
  process.stdout.write(`${formatExactJson(value)}\n`);
}

function findOutputs(metadata: ModelMetadata, names: readonly string[] | undefined): readonly TensorMetadata[] {
  return (
    names?.map((name) => {
      const output = metadata.outputs.find((candidate) => candidate.name === name);
      if (output !== undefined) return output;
      throw new CliError(
        `model '${metadata.name}' has no output '${name}'; it answers ${describeTensors(metadata.outputs)}`,
      );
    }) ?? metadata.outputs
  );
}

/** Scores of classes, [N,K] or [K], are asked for as a classification, which brings the labels that the server knows. */
function toOutputOptions(outputs: readonly TensorMetadata[], top: number): Record<string, OutputOptions> {
  const isScores = ({ datatype, shape }: TensorMetadata) =>
    shape.length <= 2 && /^(U?INT(8|16|32|64)|FP(32|64))$/.test(datatype);
  return Object.fromEntries(outputs.map((output) => [output.name, isScores(output) ? { classification: top } : {}]));
}

/**
 * A row per image, output and class. Where there is one output its name is the heading of the values: they are
 * probabilities only if the model says so.
 */
function formatAnswers(answered: readonly { readonly file: string; readonly result: InferenceResult }[]): string {
  const names = new Set(answered.flatMap(({ result }) => [...result.outputs.keys()]));
  const [only] = names.size === 1 ? names : [];
  const rows = answered.flatMap(({ file, result }) =>
    [...result.outputs].flatMap(([name, output]) =>
      toClasses(output).map(({ label, value }) =>
        only === undefined ? [file, name, label, value] : [file, label, value],
      ),
    ),
  );
  return formatTable(only === undefined ? ['image', 'output', 'label', 'value'] : ['image', 'label', only], rows);
}

interface Class {
  readonly label: string;
  readonly value: string;
}

/** The classes of a classification, whose elements are `value:index:label`, or one entry with the plain values. */
function toClasses(output: AnyTensor): Class[] {
  const values = toPlainValues(output);
  const classes = values.map(
    (value) => /^(?<value>[^:]+):(?<index>\d+)(?::(?<label>.*))?$/s.exec(String(value))?.groups,
  );
  if (output.datatype === 'BYTES' && classes.every((groups) => groups !== undefined)) {
    return classes.map((groups) => ({
      label: groups['label'] ?? groups['index'] ?? '',
      value: Number(groups['value']).toFixed(4),
    }));
  }
  const shown = values.slice(0, MAX_SHOWN).join(' ');
  const rest = values.length > MAX_SHOWN ? ` … (${output.shape.join('x')})` : '';
  return [{ label: '', value: shown + rest }];
}
