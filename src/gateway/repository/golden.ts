/**
 * Golden inputs: requests whose answers are known, beside the model that is to give them.
 *
 *   <version>/golden/golden.json   {"sha256": "<of the model file>", "tolerance": {"maxAbs": 1e-5, "argmax": true}}
 *   <version>/golden/golden.npz    arrays `input.<name>` and `output.<name>`; axis 0 counts the rows
 *
 * Integer kernels may answer a little differently on another class of processors, or with another version of ONNX Runtime.
 * The second tolerance is for them: {"instructionSet": "x64 avx512-vnni", "onnxRuntime": "1.30.0", "elsewhere": {"maxAbs": 0.05}}.
 */

import path from 'node:path';
import { z } from 'zod';
import { type Arithmetic, arithmeticHere } from './arithmetic.ts';
import { parseJson } from './config/json-document.ts';
import { ModelConfigError } from './config/model-config.ts';
import { digestFile, MAX_TEXT_BYTES, readBytes, readText, statFile } from './disk.ts';
import { type NpyArray, NpzError, readNpz } from './npz-archive.ts';

const TOLERANCE = z.strictObject({
  /** Largest difference of an element of a floating-point output; without it, what rounding explains. */
  maxAbs: z.number().min(0).optional(),
  /** Whether the largest element of each row has to be at the same place. */
  argmax: z.boolean().default(false),
});

/** The author of the model may add other notes. */
const DESCRIPTION = z.looseObject({
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits')
    .optional(),
  tolerance: TOLERANCE.prefault({}),
  /** The class of processors that the answers are of, and the version of ONNX Runtime: `arithmeticHere`. */
  instructionSet: z.string().optional(),
  onnxRuntime: z.string().optional(),
  /** Replaces `tolerance` if the processor or the version of ONNX Runtime is another. */
  elsewhere: TOLERANCE.optional(),
});

export type GoldenTolerance = z.output<typeof TOLERANCE>;
export type GoldenDescription = z.input<typeof DESCRIPTION>;

export interface Golden {
  readonly rows: number;
  /** By name. Axis 0 counts the rows. */
  readonly inputs: ReadonlyMap<string, NpyArray>;
  readonly outputs: ReadonlyMap<string, NpyArray>;
  readonly tolerance: GoldenTolerance;
}

export const GOLDEN_DIRECTORY = 'golden';
/** Rows that run separately before the model serves. */
export const MAX_GOLDEN_ROWS = 1_000;
const MAX_BYTES = 256 * 1024 * 1024;

/**
 * @returns undefined where a version has none.
 * @throws ModelConfigError where they cannot be used, or are of another model file.
 */
export async function readGolden(
  versionDirectory: string,
  modelPath: string,
  here: Arithmetic = arithmeticHere(),
): Promise<Golden | undefined> {
  const directory = path.join(versionDirectory, GOLDEN_DIRECTORY);
  const present = await statFile(directory);
  if (present === undefined) return undefined;
  const { sha256, elsewhere, ...said } = await readDescription(path.join(directory, 'golden.json'));
  const { instructionSet = here.instructionSet, onnxRuntime = here.onnxRuntime } = said;
  const isHere = instructionSet === here.instructionSet && onnxRuntime === here.onnxRuntime;
  const tolerance = isHere ? said.tolerance : (elsewhere ?? said.tolerance);
  if (sha256 !== undefined && sha256 !== (await digestFile(modelPath))) {
    throw new ModelConfigError(
      `${directory}/golden.json: sha256 does not match ${modelPath}: the files do not belong together`,
    );
  }
  const arrays = await readArrays(path.join(directory, 'golden.npz'));
  const starting = (prefix: string): Map<string, NpyArray> =>
    new Map([...arrays].flatMap(([key, array]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), array]] : [])));
  const inputs = starting('input.');
  const outputs = starting('output.');
  const rows = new Set([...arrays.values()].map(({ shape }) => shape[0]));
  const [count] = rows;
  const where = path.join(directory, 'golden.npz');
  if (inputs.size + outputs.size !== arrays.size || inputs.size === 0 || outputs.size === 0) {
    throw new ModelConfigError(
      `${where}: expected arrays input.<name> and output.<name>, got ${[...arrays.keys()].join(', ')}`,
    );
  }
  if (rows.size > 1 || count === undefined || count < 1 || count > MAX_GOLDEN_ROWS) {
    throw new ModelConfigError(
      `${where}: expected as many rows in each array, 1 to ${MAX_GOLDEN_ROWS}, got ${[...rows].join(', ')}`,
    );
  }
  return { rows: count, inputs, outputs, tolerance };
}

async function readDescription(file: string): Promise<z.output<typeof DESCRIPTION>> {
  await checkFile(file, MAX_TEXT_BYTES);
  const parsed = parseJson(await readText(file), file, DESCRIPTION);
  if (parsed.kind === 'problems') throw new ModelConfigError(parsed.problems);
  return parsed.value;
}

async function readArrays(file: string): Promise<Map<string, NpyArray>> {
  await checkFile(file, MAX_BYTES);
  const bytes = await readBytes(file);
  try {
    return await readNpz(bytes);
  } catch (error) {
    throw error instanceof NpzError ? new ModelConfigError(`${file}: ${error.message}`) : error;
  }
}

async function checkFile(file: string, maxBytes: number): Promise<void> {
  const stat = await statFile(file);
  if (stat === undefined || !stat.isFile()) throw new ModelConfigError(`${file} does not exist`);
  if (stat.size > maxBytes) throw new ModelConfigError(`${file} has ${stat.size} bytes: at most ${maxBytes} are read`);
}
