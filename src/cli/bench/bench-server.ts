/** The server of a benchmark, over gRPC or REST. */

import type { CallTarget, TargetAddress, TargetModel } from '../../bench/call-target.ts';
import { GrpcTarget } from '../../bench/grpc-target.ts';
import { countersOf, type ServerCounters } from '../../bench/statistics.ts';
import { type InferenceClient, InferenceError, type ModelMetadata } from '../../client/inference-client.ts';

export interface BenchServer {
  readonly target: CallTarget;
  readonly metadata: ModelMetadata;
  /** Whether axis 0 of the inputs counts rows. */
  readonly batches: boolean;
  /** Inputs that a request may leave out. */
  readonly optional: ReadonlySet<string>;
  /** `undefined` where the server has no statistics. */
  readonly counters: () => Promise<ServerCounters | undefined>;
}

/** Parts of `ModelConfig` that a benchmark needs; `undefined` for a server without it. */
export interface ConfigFacts {
  readonly maxBatchSize: number;
  readonly optional: readonly string[];
}

/** Without a configuration, an open first axis of all inputs counts rows. */
export function factsOf(
  metadata: ModelMetadata,
  config: ConfigFacts | undefined,
): Omit<BenchServer, 'target' | 'counters'> {
  const batches =
    config === undefined ? metadata.inputs.every(({ shape }) => shape[0] === -1) : config.maxBatchSize > 0;
  return { metadata, batches, optional: new Set(config?.optional) };
}

/** @throws InferenceError where the model cannot be had */
export async function grpcServer(
  client: InferenceClient,
  address: TargetAddress,
  model: TargetModel,
): Promise<BenchServer> {
  const version = model.version === '' ? undefined : model.version;
  const [metadata, config] = await Promise.all([
    client.modelMetadata(model.name, { version }),
    offered(client.modelConfig(model.name, { version })),
  ]);
  const facts = config && {
    maxBatchSize: config.maxBatchSize,
    optional: config.input.filter(({ optional }) => optional).map(({ name }) => name),
  };
  const counters = async (): Promise<ServerCounters | undefined> => {
    const versions = await client.modelStatistics(model.name, { version }).catch((error: unknown) => {
      // A server that is overloaded, or that has no statistics, can still be measured from outside.
      if (error instanceof InferenceError) return undefined;
      throw error;
    });
    return versions && countersOf(versions);
  };
  return { ...factsOf(metadata, facts), target: new GrpcTarget(address, model), counters };
}

/** `undefined` where the server does not offer the call, as KServe's. */
function offered<Result>(call: Promise<Result>): Promise<Result | undefined> {
  return call.catch((error: unknown) => {
    if (error instanceof InferenceError && error.status === 'UNIMPLEMENTED') return undefined;
    throw error;
  });
}
