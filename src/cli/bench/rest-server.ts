/** The server of a benchmark, asked over REST (KServe: inference_rest.md; Triton: extension_statistics.md). */

import { z } from 'zod';
import type { TargetAddress, TargetModel } from '../../bench/call-target.ts';
import { modelPath, type RestForm, RestTarget } from '../../bench/rest-target.ts';
import type { ServerCounters } from '../../bench/statistics.ts';
import { messageOf } from '../../error-message.ts';
import { CliError } from '../cli-error.ts';
import { type BenchServer, factsOf } from './bench-server.ts';

const tensors = z.array(z.object({ name: z.string(), datatype: z.string(), shape: z.array(z.coerce.number()) }));

const metadata = z.object({
  name: z.string(),
  versions: z.array(z.string()).default([]),
  platform: z.string().default(''),
  inputs: tensors,
  outputs: tensors,
});

const config = z.object({
  max_batch_size: z.number().default(0),
  input: z.array(z.object({ name: z.string(), optional: z.boolean().default(false) })).default([]),
});

const duration = z.object({ count: z.coerce.number().default(0), ns: z.coerce.number().default(0) });

const statistics = z.object({
  model_stats: z.array(
    z.object({
      inference_count: z.coerce.number().default(0),
      execution_count: z.coerce.number().default(0),
      inference_stats: z.object({
        success: duration,
        queue: duration,
        compute_input: duration,
        compute_infer: duration,
        compute_output: duration,
      }),
    }),
  ),
});

/** @throws CliError where the model cannot be had */
export async function restServer(
  address: TargetAddress,
  model: TargetModel,
  form: RestForm,
  deadlineMs: number,
): Promise<BenchServer> {
  const target = new RestTarget(address, model, form);
  const path = modelPath(model);
  const read = async <Schema extends z.ZodType>(
    schema: Schema,
    page: string,
  ): Promise<z.output<Schema> | undefined> => {
    const json = await target.read(page, deadlineMs);
    return json === undefined ? undefined : schema.parse(json);
  };
  try {
    const described = await read(metadata, path);
    if (described === undefined) throw new Error(`there is no model at ${path}`);
    const facts = await read(config, `${path}/config`);
    const counters = async (): Promise<ServerCounters | undefined> => {
      const found = await read(statistics, `${path}/stats`).catch(() => undefined);
      return found && countersOf(found);
    };
    return {
      ...factsOf(
        { ...described, properties: {} },
        facts && {
          maxBatchSize: facts.max_batch_size,
          optional: facts.input.filter(({ optional }) => optional).map(({ name }) => name),
        },
      ),
      target,
      counters,
    };
  } catch (error) {
    target[Symbol.dispose]();
    const text = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : messageOf(error);
    throw new CliError(`no model over REST at ${address.target}: ${text}; --url has to name the HTTP port`, {
      cause: error,
    });
  }
}

function countersOf({ model_stats: versions }: z.output<typeof statistics>): ServerCounters {
  const sum = (of: (version: (typeof versions)[number]) => number): number =>
    versions.reduce((total, version) => total + of(version), 0);
  return {
    requests: sum((version) => version.inference_stats.success.count),
    rows: sum((version) => version.inference_count),
    batches: sum((version) => version.execution_count),
    queueNs: sum((version) => version.inference_stats.queue.ns),
    inputNs: sum((version) => version.inference_stats.compute_input.ns),
    inferNs: sum((version) => version.inference_stats.compute_infer.ns),
    outputNs: sum((version) => version.inference_stats.compute_output.ns),
  };
}
