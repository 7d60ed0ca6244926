/** Golden inputs of a version: rows of data with the answers that its model gives today (`gateway/repository/golden.ts`). */

import fs from 'node:fs/promises';
import path from 'node:path';
import type { OutputTensor } from '../gateway/batch/queued-request.ts';
import { ROUNDING } from '../gateway/models/trial/row-independence.ts';
import { arithmeticHere } from '../gateway/repository/arithmetic.ts';
import { GOLDEN_DIRECTORY, type GoldenDescription } from '../gateway/repository/golden.ts';
import { isNumpyDatatype, type NpyArray, writeNpz } from '../gateway/repository/npz-archive.ts';
import type { ModelTensor } from '../gateway/repository/signature/row-axis.ts';
import { Comparison } from '../gateway/rollout/agreement.ts';
import { bytesOf } from '../wire/tensor-bytes.ts';
import { numbersOf } from './class-output.ts';
import type { Contender } from './contender.ts';
import { DataError, type Sample } from './sample.ts';

/** Rounding, as a share of the largest magnitude of an output (at least 1). */
const LEAST_ROUNDING = 1e-5;
/** Largest effect of integer kernels of another class of processors on a probability. */
const ELSEWHERE = 0.05;

/** Files of a folder `golden`, by name. */
export type GoldenFiles = ReadonlyMap<string, Uint8Array>;

export interface Origin {
  readonly madeBy: string;
  /** The model that this one was made from, if there is one. */
  readonly base?: { readonly version: string; readonly sha256: string };
}

/**
 * Runs each sample by itself, and all as batches, and keeps the answers of the separate runs.
 * @param samples of one shape, 1 to 1000
 * @throws DataError where they cannot be kept; RunError where the model does not take them
 */
export async function recordGolden(
  contender: Contender,
  samples: readonly Sample[],
  origin: Origin,
): Promise<GoldenFiles> {
  const { inputs } = contender.signature;
  const alone: OutputTensor[][] = [];
  for (const { tensors } of samples) alone.push((await contender.answer([tensors]))[0] ?? []);
  const arrays = new Map<string, NpyArray>();
  for (const [index, { name, datatype }] of inputs.entries()) {
    const rows = samples.map(({ tensors }) => ({
      shape: tensors.shapes[index] ?? [],
      data: bytesOf(tensors.inputs[index] ?? new Uint8Array()),
    }));
    arrays.set(`input.${name}`, stack(name, datatype, rows, inputs[index]));
  }
  for (const [index, output] of (alone[0] ?? []).entries()) {
    const rows = alone.map((outputs) => ({
      shape: outputs[index]?.shape ?? [],
      data: outputs[index]?.data ?? new Uint8Array(),
    }));
    const spec = contender.signature.outputs.find(({ name }) => name === output.name);
    arrays.set(`output.${output.name}`, stack(output.name, output.datatype, rows, spec));
  }
  const maxAbs = roundedUp(Math.max(roundingOf(alone), 4 * (await batchDifference(contender, samples, alone))));
  const { base, madeBy } = origin;
  const description: GoldenDescription = {
    sha256: contender.sha256,
    tolerance: { maxAbs, argmax: true },
    ...arithmeticHere(),
    elsewhere: { maxAbs: roundedUp(Math.max(maxAbs, ELSEWHERE * largestOf(alone))), argmax: false },
    madeBy,
    ...(base !== undefined && { base }),
  };
  return new Map<string, Uint8Array>([
    ['golden.json', Buffer.from(`${JSON.stringify(description, undefined, 2)}\n`)],
    ['golden.npz', await writeNpz(arrays)],
  ]);
}

/** Writes the folder under a temporary name, then renames it; an existing one is replaced. */
export async function writeGolden(versionDirectory: string, files: GoldenFiles): Promise<void> {
  const target = path.join(versionDirectory, GOLDEN_DIRECTORY);
  const partial = path.join(versionDirectory, `.${GOLDEN_DIRECTORY}-${process.pid}`);
  try {
    await fs.mkdir(partial);
    for (const [name, content] of files) await fs.writeFile(path.join(partial, name), content);
    await fs.rm(target, { recursive: true, force: true });
    await fs.rename(partial, target);
  } finally {
    await fs.rm(partial, { recursive: true, force: true });
  }
}

interface Part {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** One array of the rows: axis 0 counts them, and a row axis of size 1 goes. */
function stack(
  name: string,
  datatype: NpyArray['datatype'],
  rows: readonly Part[],
  spec: ModelTensor | undefined,
): NpyArray {
  if (!isNumpyDatatype(datatype)) {
    throw new DataError(`'${name}' is ${datatype}, which golden inputs cannot hold: numpy has no such array`);
  }
  const [first] = rows;
  const odd = rows.findIndex(({ shape }) => String(shape) !== String(first?.shape));
  if (first === undefined || odd > 0) {
    throw new DataError(
      `golden rows have one shape: '${name}' has [${first?.shape}] in one, [${rows[odd]?.shape}] in another`,
    );
  }
  const { rowAxis = 0 } = spec ?? {};
  const isRow = typeof rowAxis === 'number' && first.shape[rowAxis] === 1 && spec?.shape[rowAxis] === -1;
  const own = isRow ? first.shape.toSpliced(rowAxis, 1) : first.shape;
  return { datatype, shape: [rows.length, ...own], data: Buffer.concat(rows.map(({ data }) => data)) };
}

function largestOf(answers: readonly (readonly OutputTensor[])[]): number {
  let largest = 1;
  for (const output of answers.flat()) {
    const numbers = numbersOf(output) ?? [];
    for (let index = 0; index < numbers.length; index++) largest = Math.max(largest, Math.abs(numbers[index] ?? 0));
  }
  return largest;
}

function roundingOf(answers: readonly (readonly OutputTensor[])[]): number {
  const shares = (answers[0] ?? []).map(({ datatype }) => ROUNDING[datatype] ?? LEAST_ROUNDING);
  return Math.max(LEAST_ROUNDING, ...shares) * largestOf(answers);
}

/**
 * The difference between rows in a batch and the same rows by themselves, as far as it is rounding: kernels may add up in another
 * order. 0 if it is larger, so that a server finds it.
 */
async function batchDifference(
  contender: Contender,
  samples: readonly Sample[],
  alone: readonly (readonly OutputTensor[])[],
): Promise<number> {
  let largest = 0;
  for (let from = 0; from < samples.length && contender.maxRows > 1; from += contender.maxRows) {
    const rows = samples.slice(from, from + contender.maxRows).map(({ tensors }) => tensors);
    const together = await contender.answer(rows);
    for (const [index, outputs] of together.entries()) {
      const comparison = new Comparison(alone[from + index] ?? [], outputs);
      while (!comparison.advance());
      largest = Math.max(largest, comparison.agreement.absolute);
    }
  }
  return largest <= 10 * roundingOf(alone) ? largest : 0;
}

/** To two digits, so that people can read it. */
function roundedUp(value: number): number {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(2));
}
