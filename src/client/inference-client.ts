import { Client, connectivityState, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { decodeInferResponse, decodeStreamResponse, type InferResponse } from '../wire/infer-response.ts';
import type { ModelExplanation } from '../wire/model-explanation.ts';
import { toCredentials, toGrpcOptions, toMetadata } from './channel-settings.ts';
import type {
  CallOptions,
  ClientOptions,
  InferOptions,
  LoadOptions,
  ModelCallOptions,
  StreamAnswer,
  StreamRequest,
  UnloadOptions,
} from './client-options.ts';
import { InferenceError } from './inference-error.ts';
import { encodeRequest, type Inputs } from './inference-request.ts';
import { InferenceResult, readTiming } from './inference-result.ts';
import {
  findMethod,
  type InferenceService,
  MODEL_INFER,
  MODEL_STREAM_INFER,
  type ModelConfig,
  type ModelIndexEntry,
  type ModelMetadata,
  type ModelStatistics,
  type ServerMetadata,
} from './inference-service.ts';
import { type StreamCall, toAnswer, writeRequests } from './inference-stream.ts';
import { explainMethod } from './models-service.ts';
import { RESPONSE_LIMITS } from './response-limits.ts';
import { type RolloutOptions, type RolloutState, rolloutMethod, rolloutStateOf } from './rollout-service.ts';
import { type ShadowReport, shadowReportMethod } from './traffic-service.ts';
import { type UnaryMethod, unaryCall } from './unary-call.ts';

export type { ModelExplanation } from '../wire/model-explanation.ts';
export type { Datatype, Shape } from '../wire/tensor.ts';
export type {
  CallOptions,
  ClientOptions,
  InferOptions,
  LoadOptions,
  ModelCallOptions,
  StreamAnswer,
  StreamRequest,
  TlsOptions,
  UnloadOptions,
} from './client-options.ts';
export { InferenceError } from './inference-error.ts';
export type { Inputs, OutputOptions, Parameters, ParameterValue, RequestOptions } from './inference-request.ts';
export { InferenceResult, type Timing } from './inference-result.ts';
export type {
  InferStatistics,
  ModelConfig,
  ModelIndexEntry,
  ModelMetadata,
  ModelStatistics,
  ServerMetadata,
  StatisticDuration,
  TensorMetadata,
} from './inference-service.ts';
export type { RolloutEvent, RolloutEvidence, RolloutOptions, RolloutStage, RolloutState } from './rollout-service.ts';
export { type AnyTensor, type Elements, Tensor, tensor } from './tensor.ts';
export type { ShadowReport } from './traffic-service.ts';

/**
 * A client of an inference server that speaks the Open Inference Protocol (KServe v2) over gRPC: tensorgate, Triton and
 * others. One client holds one connection, which carries any number of calls at a time.
 *
 * ```ts
 * using client = new InferenceClient('localhost:8001', { deadlineMs: 200 });
 * const result = await client.infer('cifar10', { image: tensor.uint8(pixels, [1, 3, 32, 32]) });
 * result.output('probabilities', 'FP32').data; // Float32Array
 * ```
 * Every method that calls the server rejects with InferenceError.
 */
export class InferenceClient {
  readonly #grpc: Client;
  readonly #deadlineMs: number | undefined;
  readonly #metadata: CallOptions['metadata'];

  /** `target` is `host:port`, or any other name that gRPC resolves. Nothing connects before the first call. */
  constructor(target: string, options: ClientOptions = {}) {
    this.#deadlineMs = options.deadlineMs;
    this.#metadata = options.metadata;
    this.#grpc = new Client(target, toCredentials(options), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      ...options.channelOptions,
    });
  }

  /** Whether a connection is open now: after an UNAVAILABLE, it separates an unreachable server from a busy one. */
  get connected(): boolean {
    return this.#grpc.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  /**
   * Runs `model` on `inputs`. The tensors are sent as raw contents.
   * @throws TypeError where an input or an option cannot be sent
   */
  async infer(model: string, inputs: Inputs, options: InferOptions = {}): Promise<InferenceResult> {
    const message = encodeRequest(model, inputs, options);
    const metadata = options.timing === true ? { ...options.metadata, 'tensorgate-timing': '1' } : options.metadata;
    const { response, trailers } = await this.#unary(INFER_METHOD, message, { ...options, metadata, model });
    return new InferenceResult(response, readTiming(trailers));
  }

  /**
   * Sends `requests` over one stream and yields their answers in order. `deadlineMs` limits the whole stream; the client's own
   * deadline does not apply. Ending the iteration early cancels outstanding requests.
   */
  async *stream(
    requests: Iterable<StreamRequest> | AsyncIterable<StreamRequest>,
    options: CallOptions = {},
  ): AsyncGenerator<StreamAnswer, void, undefined> {
    const { signal } = options;
    const call: StreamCall = this.#grpc.makeBidiStreamRequest(
      MODEL_STREAM_INFER,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => decodeStreamResponse(bytes, RESPONSE_LIMITS),
      toMetadata(this.#metadata, options.metadata),
      toGrpcOptions(options.deadlineMs),
    );
    const cancel = () => call.cancel();
    // grpc-js emits the status of a cancelled call as an error even without an iteration.
    call.on('error', () => {});
    let failed: { readonly cause: unknown } | undefined;
    writeRequests(call, requests).catch((cause: unknown) => {
      failed = { cause };
      cancel();
    });
    signal?.addEventListener('abort', cancel);
    if (signal?.aborted) cancel();
    try {
      for await (const { errorMessage, response } of call) yield toAnswer(errorMessage, response);
    } catch (error) {
      // An error of the caller's own iterable has cancelled the call.
      if (failed !== undefined) throw failed.cause;
      throw isServiceError(error) ? InferenceError.from(error, undefined, signal) : error;
    } finally {
      signal?.removeEventListener('abort', cancel);
      cancel();
    }
  }

  /** Whether the server answers at all. */
  async serverLive(options: CallOptions = {}): Promise<boolean> {
    return (await this.#call('ServerLive', {}, options)).live;
  }

  /** Whether all models that the server should have are ready. */
  async serverReady(options: CallOptions = {}): Promise<boolean> {
    return (await this.#call('ServerReady', {}, options)).ready;
  }

  serverMetadata(options: CallOptions = {}): Promise<ServerMetadata> {
    return this.#call('ServerMetadata', {}, options);
  }

  async modelReady(model: string, options: ModelCallOptions = {}): Promise<boolean> {
    return (await this.#call('ModelReady', toModelRequest(model, options), { ...options, model })).ready;
  }

  /** The inputs and outputs of a model. */
  modelMetadata(model: string, options: ModelCallOptions = {}): Promise<ModelMetadata> {
    return this.#call('ModelMetadata', toModelRequest(model, options), { ...options, model });
  }

  /** How a model is served. */
  async modelConfig(model: string, options: ModelCallOptions = {}): Promise<ModelConfig> {
    return (await this.#call('ModelConfig', toModelRequest(model, options), { ...options, model })).config;
  }

  /** Statistics of one model, or with `''` of all: of the version asked for, or of every version that is ready. */
  async modelStatistics(model: string, options: ModelCallOptions = {}): Promise<readonly ModelStatistics[]> {
    return (await this.#call('ModelStatistics', toModelRequest(model, options), { ...options, model })).modelStats;
  }

  /** Every version of every model that the server knows, with what it does and why; on its admin port where it has one. */
  async repositoryIndex(options: CallOptions = {}): Promise<readonly ModelIndexEntry[]> {
    return (await this.#call('RepositoryIndex', {}, options)).models;
  }

  /**
   * Loads a model, or loads it again from the repository. Resolves when it answers. On the admin port of a server that has one.
   * @param config a `ModelConfig` as JSON, in place of the file in the repository
   */
  async loadModel(model: string, { config, ...options }: LoadOptions = {}): Promise<void> {
    const parameters = config === undefined ? {} : { config: { stringParam: config } };
    await this.#call('RepositoryModelLoad', { modelName: model, parameters }, { ...options, model });
  }

  /**
   * Unloads a model: it takes no new requests and answers those that it accepted. Does not wait for them.
   * @param dependents also the models of an ensemble's steps that no other ensemble needs
   */
  async unloadModel(model: string, { dependents, ...options }: UnloadOptions = {}): Promise<void> {
    const parameters = dependents === true ? { unload_dependents: { boolParam: true } } : {};
    await this.#call('RepositoryModelUnload', { modelName: model, parameters }, { ...options, model });
  }

  /** How a version of a model is served, and why (docs/explain.md). Only tensorgate serves it, others are UNIMPLEMENTED. */
  async explainModel(model: string, options: ModelCallOptions = {}): Promise<ModelExplanation> {
    const { version = '' } = options;
    const { response } = await this.#unary(explainMethod(), { model, version }, { ...options, model });
    return JSON.parse(response.explanation) as ModelExplanation;
  }

  /** Agreement of the shadow versions of a model; `''`: of all models. Only tensorgate serves it, others are UNIMPLEMENTED. */
  async shadowReports(model: string, options: CallOptions = {}): Promise<readonly ShadowReport[]> {
    return (await this.#unary(shadowReportMethod(), { model }, { ...options, model })).response.reports;
  }

  /**
   * Starts to move the traffic of a model to another of its versions, in steps (docs/rollout.md). Only tensorgate serves this RPC
   * and the three below, on its admin port if it has one. A running rollout with the same options is returned.
   */
  async startRollout(
    model: string,
    version: string,
    options: RolloutOptions & CallOptions = {},
  ): Promise<RolloutState> {
    const { deadlineMs: _d, signal: _s, metadata: _m, ...rollout } = options;
    const request = { ...rollout, model, version };
    return rolloutStateOf((await this.#unary(rolloutMethod('Start'), request, { ...options, model })).response);
  }

  /** The rollout of one model, or with `''` of all: running, or the last that ended. */
  async rollouts(model: string, options: CallOptions = {}): Promise<readonly RolloutState[]> {
    const { response } = await this.#unary(rolloutMethod('Status'), { model }, { ...options, model });
    return response.rollouts.map(rolloutStateOf);
  }

  /** Ends the rollout of a model: the version before answers all requests again. */
  async abortRollout(model: string, options: CallOptions = {}): Promise<RolloutState> {
    return rolloutStateOf((await this.#unary(rolloutMethod('Abort'), { model }, { ...options, model })).response);
  }

  /** Forgets a rollout that ended: requests are spread as the model's configuration says. */
  async forgetRollout(model: string, options: CallOptions = {}): Promise<void> {
    await this.#unary(rolloutMethod('Forget'), { model }, { ...options, model });
  }

  /** Closes the connection when the calls under way have ended. */
  close(): void {
    this.#grpc.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #call<Name extends keyof InferenceService>(
    name: Name,
    request: InferenceService[Name]['request'],
    options: CallOptions & { model?: string },
  ): Promise<InferenceService[Name]['response']> {
    return (await this.#unary(findMethod(name), request, options)).response;
  }

  #unary<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    options: CallOptions & { model?: string },
  ): Promise<{ response: Response; trailers: Metadata }> {
    const deadlineMs = options.deadlineMs ?? this.#deadlineMs;
    const metadata = toMetadata(this.#metadata, options.metadata);
    return unaryCall(this.#grpc, method, request, metadata, { ...options, deadlineMs });
  }
}

/** ModelInfer, with the codec of `src/wire`: the request is encoded before the call. */
const INFER_METHOD: UnaryMethod<Buffer, InferResponse> = {
  path: MODEL_INFER,
  requestSerialize: (bytes) => bytes,
  responseDeserialize: (bytes) => decodeInferResponse(bytes, RESPONSE_LIMITS),
};

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

function toModelRequest(name: string, { version = '' }: ModelCallOptions): { name: string; version: string } {
  return { name, version };
}
