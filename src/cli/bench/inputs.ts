/** The requests of a benchmark: rows of data, or made-up rows that the model takes. */

import type { CallOutcome, NamedTensor, PreparedCall } from '../../bench/call-target.ts';
import { makeUpData } from '../../compare/made-up.ts';
import { DataError, type Dataset, type Sample, spread } from '../../compare/sample.ts';
import type { InferTensors } from '../../gateway/admit/infer-tensors.ts';
import { isDatatype } from '../../wire/tensor.ts';
import { CliError } from '../cli-error.ts';
import type { DataModel } from '../data/data-model.ts';
import { openDataset } from '../data/dataset.ts';
import type { BenchServer } from './bench-server.ts';

const MAX_ROWS = 1_000;
const MAX_BYTES = 256 << 20;

export interface BenchInputs {
  readonly source: string;
  /** The inputs of each request; at least one. */
  readonly rows: readonly (readonly NamedTensor[])[];
  readonly calls: readonly PreparedCall[];
}

/** Statuses of a request that the model does not take: other made-up values may do. */
const REFUSED: ReadonlySet<string> = new Set([
  'INVALID_ARGUMENT',
  'OUT_OF_RANGE',
  'INTERNAL',
  'UNKNOWN',
  'HTTP 400',
  'HTTP 500',
]);

/**
 * Prepares the calls, and tries the first.
 * @param source path of the data; `undefined`: made-up rows
 * @throws CliError where the model does not take the rows
 */
export async function openInputs(
  server: BenchServer,
  source: string | undefined,
  deadlineMs: number,
): Promise<BenchInputs> {
  const model = dataModelOf(server, source === undefined);
  const prepare = (tensors: InferTensors): PreparedCall => server.target.prepare(namedTensors(model, tensors));
  const data =
    source === undefined ? await madeUp(model, prepare, deadlineMs) : await openDataset(source, model, false);
  const samples = await read(spread(data, MAX_ROWS));
  const rows = samples.map(({ tensors }) => namedTensors(model, tensors));
  const calls = rows.map((row) => server.target.prepare(row));
  const first = await calls[0]?.(deadlineMs);
  if (first === undefined) throw new CliError(`'${data.source}' holds no rows`);
  if (first.status !== 'OK') throw new CliError(`${samples[0]?.name}: ${refusalOf(first)}`);
  return { source: data.source, rows, calls };
}

function refusalOf({ status, details }: CallOutcome): string {
  return `${details} (${status})`;
}

/** Rows until they fill the memory that a benchmark may take. */
async function read(data: Dataset): Promise<Sample[]> {
  const samples: Sample[] = [];
  let bytes = 0;
  for (let index = 0; index < data.count && bytes < MAX_BYTES; index++) {
    const sample = await data.read(index);
    bytes += sample.tensors.bytes;
    samples.push(sample);
  }
  return samples;
}

/** @param required leaves out optional inputs */
function dataModelOf({ metadata, batches, optional }: BenchServer, required: boolean): DataModel {
  const inputs = metadata.inputs
    .filter(({ name }) => !required || !optional.has(name))
    .map(({ name, datatype, shape }) => {
      if (isDatatype(datatype)) return { name, datatype, shape };
      throw new CliError(`input '${name}' has the datatype '${datatype}', which is not known here`);
    });
  const batching = batches ? ({ kind: 'on', maxRows: 1 } as const) : ({ kind: 'off', reason: 'no rows' } as const);
  return { metadata, signature: { inputs, batching } };
}

function namedTensors({ signature }: DataModel, { inputs, shapes }: InferTensors): NamedTensor[] {
  return signature.inputs.map(({ name, datatype }, index) => {
    const data = inputs[index];
    const shape = shapes[index];
    if (!(data instanceof Uint8Array) || shape === undefined) throw new TypeError(`no value of input '${name}'`);
    return { name, datatype, shape, data };
  });
}

async function madeUp(
  { signature }: DataModel,
  prepare: (tensors: InferTensors) => PreparedCall,
  deadlineMs: number,
): Promise<Dataset> {
  const runRows = async (rows: readonly InferTensors[]) => {
    for (const tensors of rows) {
      const outcome = await prepare(tensors)(deadlineMs);
      if (REFUSED.has(outcome.status)) return { kind: 'refused', message: outcome.details } as const;
      if (outcome.status !== 'OK') throw new CliError(refusalOf(outcome));
    }
    return { kind: 'ok', outputs: [], inputMs: 0, computeMs: 0, outputMs: 0 } as const;
  };
  return makeUpData({ signature, runRows }, '--data').catch((error: unknown) => {
    throw error instanceof DataError ? new CliError(error.message, { cause: error }) : error;
  });
}
