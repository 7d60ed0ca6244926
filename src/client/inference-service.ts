/** The messages of `inference.GRPCInferenceService` that are not on the hot path, as proto-loader reads them from `proto/`. */

import type { MethodDefinition } from '@grpc/grpc-js';
import { methodsOf } from './service-methods.ts';

const SERVICE = 'inference.GRPCInferenceService';

/** The paths of the two RPCs whose messages the client encodes itself. */
export const MODEL_INFER = `/${SERVICE}/ModelInfer`;
export const MODEL_STREAM_INFER = `/${SERVICE}/ModelStreamInfer`;

export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  /** The extensions of the protocol that the server offers, such as `classification`. */
  readonly extensions: readonly string[];
}

/** Description of one input or output. An axis of -1 takes any size. */
export interface TensorMetadata {
  readonly name: string;
  /** A datatype of the protocol, such as `FP32`. */
  readonly datatype: string;
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly name: string;
  /** The versions that can be asked for. */
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
  /** Further parameters of the server. */
  readonly properties: Readonly<Record<string, string>>;
}

/** The configuration of a model after the server completed it: the part of Triton's `ModelConfig` that clients ask for. */
export interface ModelConfig {
  readonly name: string;
  readonly platform: string;
  readonly backend: string;
  /** `optional`: a request may leave the input out. */
  readonly input: readonly { readonly name: string; readonly optional: boolean }[];
  /** Rows of the largest batch; 0 where the model does not batch. */
  readonly maxBatchSize: number;
  readonly dynamicBatching?: {
    readonly preferredBatchSize: readonly number[];
    readonly maxQueueDelayMicroseconds: number;
  } | null;
  readonly instanceGroup: readonly { readonly name: string; readonly kind: string; readonly count: number }[];
  readonly parameters: Readonly<Record<string, { readonly stringValue: string }>>;
}

/** How often something happened, and how long it took in all: exact up to 2^53 ns, which is 104 days. */
export interface StatisticDuration {
  readonly count: number;
  readonly ns: number;
}

export interface InferStatistics {
  readonly success: StatisticDuration;
  readonly fail: StatisticDuration;
  readonly queue: StatisticDuration;
  readonly computeInput: StatisticDuration;
  readonly computeInfer: StatisticDuration;
  readonly computeOutput: StatisticDuration;
}

/** Counts and times of one model version since it was loaded. */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  /** `Date.now()` of the last inference, in milliseconds; 0 before the first. */
  readonly lastInference: number;
  /** Rows. Divided by `executionCount` it is the average batch size. */
  readonly inferenceCount: number;
  readonly executionCount: number;
  readonly inferenceStats: InferStatistics | null;
  readonly batchStats: readonly {
    readonly batchSize: number;
    readonly computeInput: StatisticDuration | null;
    readonly computeInfer: StatisticDuration | null;
    readonly computeOutput: StatisticDuration | null;
  }[];
}

/** A version of a model that the server knows, ready or not. */
export interface ModelIndexEntry {
  readonly name: string;
  /** Empty if no version of the model was tried. */
  readonly version: string;
  /** Such as `READY` or `UNAVAILABLE`; empty for a model that was never loaded. */
  readonly state: string;
  /** Why it is in that state. */
  readonly reason: string;
}

interface ModelRequest {
  readonly name: string;
  readonly version: string;
}

/** The parameters of a load or an unload by name. */
export type LoadParameters = Readonly<
  Record<string, { readonly boolParam: boolean } | { readonly stringParam: string }>
>;

interface LoadRequest {
  readonly modelName: string;
  readonly parameters?: LoadParameters;
}

/** The unary RPCs by name: what goes out, and what comes back. */
export interface InferenceService {
  ServerLive: { request: object; response: { readonly live: boolean } };
  ServerReady: { request: object; response: { readonly ready: boolean } };
  ServerMetadata: { request: object; response: ServerMetadata };
  ModelReady: { request: ModelRequest; response: { readonly ready: boolean } };
  ModelMetadata: { request: ModelRequest; response: ModelMetadata };
  ModelConfig: { request: ModelRequest; response: { readonly config: ModelConfig } };
  ModelStatistics: { request: ModelRequest; response: { readonly modelStats: readonly ModelStatistics[] } };
  RepositoryIndex: { request: object; response: { readonly models: readonly ModelIndexEntry[] } };
  RepositoryModelLoad: { request: LoadRequest; response: object };
  RepositoryModelUnload: { request: LoadRequest; response: object };
}

/** The definition of a unary RPC. */
export function findMethod<Name extends keyof InferenceService>(
  name: Name,
): MethodDefinition<InferenceService[Name]['request'], InferenceService[Name]['response']> {
  return methodsOf<InferenceService>('inference.proto', SERVICE)[name];
}
