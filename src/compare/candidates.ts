/** Candidates from the core: each technique's model as a file. */

import fs from 'node:fs/promises';
import path from 'node:path';
import { calibrate, type Ranges } from '../compress/calibration.ts';
import { compress } from '../compress/compress.ts';
import type { Note } from '../compress/note.ts';
import { nameOf } from '../compress/onnx/graph.ts';
import { externalFilesOf, type OnnxModel, readOnnxModel, writeOnnxModel } from '../compress/onnx/model-file.ts';
import { countOperators } from '../compress/optimized-model.ts';
import { formatTechnique, type Technique } from '../compress/technique.ts';
import { gather } from '../gateway/batch/batch.ts';
import type { ModelSignature } from '../gateway/repository/signature/model-signature.ts';
import { bytesOf } from '../wire/tensor-bytes.ts';
import type { Contender, ContenderSource, RunnerEnvironment } from './contender.ts';
import { batchesOf, type Dataset } from './sample.ts';

/** Rows of one run of a calibration. */
const BATCH_ROWS = 16;

/** A file as it is, with the external data beside it. @throws CompressError */
export async function sourceOf(kind: 'base' | 'file', name: string, file: string): Promise<ContenderSource> {
  const steps = kind === 'base' ? ['the version that is compared with'] : [`as it is in ${file}`];
  return { name, kind, file, files: [file, ...(await externalFilesOf(file))], steps };
}

/** Which values the tensors of a model take on the data. @throws CompressError, DataError or the signal's reason */
export async function findRanges(
  model: OnnxModel,
  { signature, maxRows }: Contender,
  dataset: Dataset,
  {
    env,
    mailboxDirectory,
    signal,
    progress,
  }: RunnerEnvironment & {
    readonly signal: AbortSignal;
    readonly progress: (done: number) => void;
  },
): Promise<Ranges> {
  async function* feeds() {
    let done = 0;
    for await (const { samples } of batchesOf(dataset, Math.min(BATCH_ROWS, maxRows))) {
      signal.throwIfAborted();
      const requests = samples.map(({ tensors }) => ({ tensors }));
      yield joined({ requests, rows: requests.length }, signature);
      done += samples.length;
      progress(done);
    }
  }
  return calibrate(model, feeds(), { env, directory: mailboxDirectory });
}

/** Rows as the model takes them at once, by input. */
function joined(load: Parameters<typeof gather>[0], { inputs, batching }: ModelSignature) {
  const { places, chunks } = gather(load, inputs, batching.kind === 'on' ? 'rows' : 'whole');
  const bytes = Buffer.concat(chunks.map(bytesOf));
  return new Map(
    places.map(({ name, datatype, shape, offset, byteLength }) => [
      name,
      { datatype, shape, data: bytes.subarray(offset, offset + byteLength) },
    ]),
  );
}

export interface CandidateOptions {
  /** Value ranges of tensors, which `int8` needs. */
  readonly ranges: Ranges | undefined;
  /** Nodes that `int8` leaves in float, by the names that steps give them. */
  readonly keep: ReadonlySet<string>;
}

/** Names given with `--keep` that are not nodes of the model. */
export function unknownNodes({ graph }: OnnxModel, names: readonly string[]): string[] {
  const known = new Set(graph?.node.map(nameOf));
  return names.filter((name) => !known.has(name));
}

/**
 * Applies a technique, and writes what comes of it to `<directory>/<technique>/model.onnx`.
 * @throws CompressError
 */
export async function makeCandidate(
  model: OnnxModel,
  technique: Technique,
  { ranges, keep }: CandidateOptions,
  directory: string,
): Promise<ContenderSource> {
  const name = formatTechnique(technique);
  const { model: made, notes } = compress(model, technique, ranges, { keep });
  const folder = path.join(directory, name.replaceAll(':', '-'));
  await fs.mkdir(folder, { recursive: true });
  const file = path.join(folder, 'model.onnx');
  const files = await writeOnnxModel(made, file);
  return { name, kind: 'technique', file, files, steps: notes.map(describeNote) };
}

function describeNote({ node, opType, kind, text }: Note): string {
  return `${opType} ${node}: ${kind === 'kept' ? 'left as it was: ' : ''}${text}`;
}

/** Nodes of the graph as ONNX Runtime fused it, by kind; those that are its own with their domain. */
export async function operatorsOf(
  { source: { file } }: Contender,
  { env, mailboxDirectory }: RunnerEnvironment,
): Promise<Record<string, number>> {
  const counts = await countOperators(await readOnnxModel(file), { env, directory: mailboxDirectory });
  return Object.fromEntries(
    counts.map(({ domain, opType, count }) => [domain === '' ? opType : `${domain}.${opType}`, count]),
  );
}
