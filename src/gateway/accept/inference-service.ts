/** `inference.GRPCInferenceService`: each RPC is one line that calls inside. */

import type { TensorSpec } from '../../wire/tensor.ts';
import { InferError } from '../errors.ts';
import type { Call, Method, Routes, Trailers, UnaryCall } from './call.ts';
import { type Codec, loadCodecs } from './definition.ts';
import { failWith } from './failure.ts';
import type { ModelConfigMessage, ModelStatisticsMessage } from './messages.ts';
import { streamInferMethod } from './stream-infer.ts';
import { unaryMethod } from './unary-method.ts';

export const INFERENCE_SERVICE = 'inference.GRPCInferenceService';

/** What is behind the service. A `version` of `''` is the one that the server chooses; what is thrown becomes the status. */
export interface InferenceApi {
  live(): boolean;
  ready(): boolean;
  modelReady(name: string, version: string): boolean;
  serverMetadata(): { readonly name: string; readonly version: string; readonly extensions: readonly string[] };
  modelMetadata(name: string, version: string): ModelMetadata;
  modelConfig(name: string, version: string): ModelConfigMessage;
  /** `''` stands for every model, and for every version. */
  modelStatistics(name: string, version: string): readonly ModelStatisticsMessage[];
  /** From a `ModelInferRequest` to a `ModelInferResponse`. @throws InferError */
  infer(wire: Uint8Array, call: Call): Promise<Reply>;
  /**
   * From a `ModelInferRequest` to the parts of a `ModelStreamInferResponse`, which says too why a request failed. A
   * rejection ends the whole stream.
   */
  streamInfer(wire: Uint8Array, call: Call): Promise<readonly Uint8Array[]>;
}

export interface Reply {
  /** The parts of the encoded message. */
  readonly chunks: readonly Uint8Array[];
  readonly trailers: Trailers | undefined;
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

interface ModelRequest {
  readonly name: string;
  readonly version: string;
}

type Unary<Request, Response> = (request: Request) => Response;

/** The RPCs whose messages are decoded and encoded here. */
interface UnaryRpcs {
  readonly ServerLive: Unary<object, { readonly live: boolean }>;
  readonly ServerReady: Unary<object, { readonly ready: boolean }>;
  readonly ModelReady: Unary<ModelRequest, { readonly ready: boolean }>;
  readonly ServerMetadata: Unary<object, ReturnType<InferenceApi['serverMetadata']>>;
  readonly ModelMetadata: Unary<ModelRequest, ModelMetadata>;
  readonly ModelConfig: Unary<ModelRequest, { readonly config: ModelConfigMessage }>;
  readonly ModelStatistics: Unary<ModelRequest, { readonly model_stats: readonly ModelStatisticsMessage[] }>;
}

/** All RPCs of the service. Those that are not offered answer UNIMPLEMENTED, and say so. */
export function inferenceRoutes(api: InferenceApi): Routes {
  const unary: UnaryRpcs = {
    ServerLive: () => ({ live: api.live() }),
    ServerReady: () => ({ ready: api.ready() }),
    ModelReady: ({ name, version }) => ({ ready: api.modelReady(name, version) }),
    ServerMetadata: () => api.serverMetadata(),
    ModelMetadata: ({ name, version }) => api.modelMetadata(name, version),
    ModelConfig: ({ name, version }) => ({ config: api.modelConfig(name, version) }),
    ModelStatistics: ({ name, version }) => ({ model_stats: api.modelStatistics(name, version) }),
  };
  const bytes: Record<string, Method> = {
    ModelInfer: inferMethod(api),
    ModelStreamInfer: streamInferMethod((wire, call) => api.streamInfer(wire, call)),
  };
  const routes = new Map<string, Method>();
  for (const [name, codec] of loadCodecs('inference.proto', INFERENCE_SERVICE)) {
    routes.set(codec.path, bytes[name] ?? decoded(unary, name, codec) ?? refusal(name));
  }
  return routes;
}

function decoded(rpcs: UnaryRpcs, name: string, codec: Codec<object, object>): Method | undefined {
  // Which messages an RPC has is known to its `.proto` file, not to the compiler.
  const answer = (rpcs as unknown as Partial<Record<string, Unary<object, object>>>)[name];
  return answer === undefined ? undefined : unaryMethod(codec, answer);
}

function inferMethod(api: InferenceApi): Method {
  const answer = async (call: UnaryCall): Promise<void> => {
    try {
      const { chunks, trailers } = await api.infer(call.message, call);
      call.reply(chunks, trailers);
    } catch (thrown) {
      failWith(call, InferError.from(thrown));
    }
  };
  return { kind: 'unary', handle: (call) => void answer(call) };
}

function refusal(name: string): Method {
  const error = new InferError('unimplemented', `${name} is not offered by this server`);
  return { kind: 'unary', handle: (call) => failWith(call, error) };
}
