import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  connectivityState,
  credentials,
  type CallOptions as GrpcCallOptions,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { decodeInferResponse, decodeStreamResponse, type InferResponse } from '../wire/infer-response.ts';
import { UNLIMITED_FIELDS, type WireLimits } from '../wire/limits.ts';
import { InferenceError } from './inference-error.ts';
import { encodeRequest, type Inputs, type RequestOptions } from './inference-request.ts';
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
import { type RolloutOptions, type RolloutState, rolloutMethod, rolloutStateOf } from './rollout-service.ts';
import { type ShadowReport, shadowReportMethod } from './traffic-service.ts';

export type { Datatype, Shape } from '../wire/tensor.ts';
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

/** What an answer may hold. A client picks its server, so this is room for any model, not a defence against hostile ones. */
const RESPONSE_LIMITS: WireLimits = {
  maxFields: UNLIMITED_FIELDS,
  maxInputs: 0,
  maxOutputs: 65_536,
  maxRank: 64,
  maxParameters: 65_536,
  maxParameterBytes: 16 * 1024 * 1024,
  maxNameBytes: 65_536,
  maxIdBytes: 65_536,
};

export interface ClientOptions {
  /** What a call may take, in milliseconds, if it says nothing itself. Without it, calls wait for ever. */
  readonly deadlineMs?: number | undefined;
  /** `credentials.createSsl(…)` of `@grpc/grpc-js`; plain text by default. */
  readonly credentials?: ChannelCredentials | undefined;
  /** Options of the gRPC channel, such as keepalive. The size of messages is unlimited unless they limit it. */
  readonly channelOptions?: ChannelOptions | undefined;
}

export interface CallOptions {
  /** What the call may take, in milliseconds; the server learns of it, and never runs what would come too late. */
  readonly deadlineMs?: number | undefined;
  /** Cancels the call, in the server too; it then fails with CANCELLED, and the signal's reason as the cause. */
  readonly signal?: AbortSignal | undefined;
  /** Sent as gRPC metadata: a trace context, a token, a header that a mesh routes by. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export interface ModelCallOptions extends CallOptions {
  readonly version?: string | undefined;
}

export interface InferOptions extends CallOptions, RequestOptions {
  /** Asks where the time went: `InferenceResult.timing` has the answer, if the server is a tensorgate. */
  readonly timing?: boolean | undefined;
}

/** One inference of a stream. */
export interface StreamRequest extends RequestOptions {
  readonly model: string;
  readonly inputs: Inputs;
}

/** One answer of a stream; a request that failed does not end the stream. */
export type StreamAnswer =
  | { readonly kind: 'result'; readonly id: string; readonly result: InferenceResult }
  | { readonly kind: 'error'; readonly id: string; readonly error: InferenceError };

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

  /** `target` is `host:port`, or any other name that gRPC resolves. Nothing connects before the first call. */
  constructor(target: string, options: ClientOptions = {}) {
    this.#deadlineMs = options.deadlineMs;
    this.#grpc = new Client(target, options.credentials ?? credentials.createInsecure(), {
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
      toMetadata(options.metadata),
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
      // What the caller's own iterable threw is why the call was cancelled.
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
    const { signal, model } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(new InferenceError(status.CANCELLED, 'cancelled before it was sent', { model, cause: signal.reason }));
        return;
      }
      let answer: Response | undefined;
      const cancel = () => call.cancel();
      const call = this.#grpc.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        toMetadata(options.metadata),
        toGrpcOptions(options.deadlineMs ?? this.#deadlineMs),
        (error, response) => {
          signal?.removeEventListener('abort', cancel);
          answer = response;
          if (error !== null) reject(InferenceError.from(error, model, signal));
        },
      );
      // The trailers come with the status, which grpc-js emits right after the callback.
      call.on('status', ({ metadata }) => {
        if (answer !== undefined) resolve({ response: answer, trailers: metadata });
      });
      signal?.addEventListener('abort', cancel);
    });
  }
}

interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** ModelInfer, with the codec of `src/wire`: the request is encoded before the call. */
const INFER_METHOD: UnaryMethod<Buffer, InferResponse> = {
  path: MODEL_INFER,
  requestSerialize: (bytes) => bytes,
  responseDeserialize: (bytes) => decodeInferResponse(bytes, RESPONSE_LIMITS),
};

type StreamCall = ClientDuplexStream<Buffer, ReturnType<typeof decodeStreamResponse>>;

/** Writes the requests as fast as the server takes them. Rejects only where `requests` throws, or one cannot be sent. */
async function writeRequests(
  call: StreamCall,
  requests: Iterable<StreamRequest> | AsyncIterable<StreamRequest>,
): Promise<void> {
  let over = false;
  call.once('status', () => {
    over = true;
  });
  for await (const { model, inputs, ...options } of requests) {
    if (over) return;
    if (!call.write(encodeRequest(model, inputs, options))) await untilRoom(call);
  }
  call.end();
}

/** Resolves when the call takes more, or takes nothing any more. */
function untilRoom(call: StreamCall): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off('drain', done);
      call.off('status', done);
      resolve();
    };
    call.on('drain', done);
    call.on('status', done);
  });
}

/** A failed request is answered in band, with only its text and its id. */
function toAnswer(errorMessage: string, response: InferResponse | undefined): StreamAnswer {
  const id = response?.id ?? '';
  if (errorMessage === '' && response !== undefined) {
    return { kind: 'result', id, result: new InferenceResult(response, undefined) };
  }
  return { kind: 'error', id, error: new InferenceError(status.UNKNOWN, errorMessage) };
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

function toModelRequest(name: string, { version = '' }: ModelCallOptions): { name: string; version: string } {
  return { name, version };
}

function toMetadata(entries: CallOptions['metadata']): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(entries ?? {})) metadata.set(key, value);
  return metadata;
}

function toGrpcOptions(deadlineMs: number | undefined): GrpcCallOptions {
  return deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
}
