/** `inference.GRPCInferenceService`: each RPC is one line that calls inside. */

import type { LentMemory } from '../../http2/lent-memory.ts';
import type { InferResponse } from '../../wire/infer-response.ts';
import { MAX_REQUEST_BYTES_WITHOUT_FILES } from '../../wire/repository-request.ts';
import type { TensorSpec } from '../../wire/tensor.ts';
import type { TensorBytes } from '../../wire/tensor-bytes.ts';
import { InferError } from '../errors.ts';
import type { Call, Method, Routes, Screen, Trailers, UnaryCall } from './call.ts';
import {
  ADMIN_RPCS,
  type ControlApi,
  controlAnswers,
  type IndexRpc,
  LOADING_RPCS,
  type LoadingRpcs,
  modelIndex,
  type SettingRpcs,
} from './control-service.ts';
import { type Codec, loadCodecs } from './definition.ts';
import { failWith } from './failure.ts';
import type { ModelConfigMessage, ModelStatisticsMessage } from './messages.ts';
import { refusingMethod } from './refusing-method.ts';
import { repositoryCodec } from './repository-codec.ts';
import { SHARED_MEMORY_ANSWERS, type SharedMemoryRpcs, sharedMemoryRefusal } from './shared-memory.ts';
import { type StreamAnswer, streamInferMethod } from './stream-infer.ts';
import { type Answers, listMethod, unaryMethod, unaryMethods } from './unary-method.ts';

export const INFERENCE_SERVICE = 'inference.GRPCInferenceService';

/** The implementation of the service. `version` `''` lets the server choose; a thrown error becomes the status. */
export interface InferenceApi {
  live(): boolean;
  ready(): boolean;
  modelReady(name: string, version: string): boolean;
  serverMetadata(): { readonly name: string; readonly version: string; readonly extensions: readonly string[] };
  modelMetadata(name: string, version: string): ModelMetadata;
  modelConfig(name: string, version: string): ModelConfigMessage;
  /** Whether an answer may depend on the requests before: a model with sequences, or one that is not known. */
  keepsState(name: string): boolean;
  /** Loads a model that is loaded on demand; resolves when it is there, and at once where there is nothing to load. */
  activate(name: string, call: Call): Promise<void>;
  /** `''` stands for every model, and for every version. */
  modelStatistics(name: string, version: string): readonly ModelStatisticsMessage[];
  /** Why no ModelInfer is taken now, if so; its message has not come. */
  screenInfer(call: Call): InferError | undefined;
  /**
   * From a `ModelInferRequest` to a `ModelInferResponse`.
   * @param tensors its `raw_input_contents`, where they are beside the message instead of in it
   * @returns the reply to come, which may be an InferError that it rejects with; or why the request is refused at once
   */
  infer(wire: Uint8Array, call: Call, tensors?: readonly TensorBytes[]): Promise<Reply> | InferError;
  /** Trailers with the load report, for the answer or the refusal of a call of `infer`. */
  loadReport(call: Call): Trailers | undefined;
  /** From a `ModelInferRequest` to a `ModelStreamInferResponse`, which also carries failures. A rejection ends the whole stream. */
  streamInfer: StreamAnswer;
}

export interface Reply {
  /** The parts of the encoded message. */
  readonly chunks: readonly Uint8Array[];
  /** The response that `chunks` encode. */
  readonly response: InferResponse;
  /** Memory that `chunks` may be views of: to be given back once they are written. */
  readonly memory?: LentMemory | undefined;
  readonly trailers: Trailers | undefined;
  /** Nothing holds a view of the request any more. */
  readonly requestIsSpent?: boolean;
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  /** Over REST, an input that requests may leave out says so; the message of gRPC has no field for it. */
  readonly inputs: readonly (TensorSpec & { readonly optional?: boolean })[];
  readonly outputs: readonly TensorSpec[];
}

interface ModelRequest {
  readonly name: string;
  readonly version: string;
}

/** The messages of the RPCs that ask the server for what it knows, or change a setting. */
interface UnaryRpcs extends SettingRpcs, SharedMemoryRpcs {
  readonly ServerLive: { readonly request: object; readonly response: { readonly live: boolean } };
  readonly ServerReady: { readonly request: object; readonly response: { readonly ready: boolean } };
  readonly ModelReady: { readonly request: ModelRequest; readonly response: { readonly ready: boolean } };
  readonly ServerMetadata: { readonly request: object; readonly response: ReturnType<InferenceApi['serverMetadata']> };
  readonly ModelMetadata: { readonly request: ModelRequest; readonly response: ModelMetadata };
  readonly ModelConfig: { readonly request: ModelRequest; readonly response: { readonly config: ModelConfigMessage } };
}

/** Besides these, the service has the two RPCs for inference, whose messages `src/wire` encodes. */
interface InferenceRpcs extends UnaryRpcs, LoadingRpcs, IndexRpc {
  readonly ModelStatistics: {
    readonly request: ModelRequest;
    readonly response: { readonly model_stats: readonly ModelStatisticsMessage[] };
  };
}

/** The RPCs that a port serves: all; all except those that change the server; or only those that change or report its state. */
export type ServedRpcs = 'all' | 'without-admin' | 'admin-only';

/** The RPCs of the service. RPCs that the port does not serve answer UNIMPLEMENTED and name the port that serves them. */
export function inferenceRoutes(
  api: InferenceApi,
  control: ControlApi,
  served: ServedRpcs = 'all',
  screenControl?: Screen,
): Routes {
  const codecs = loadCodecs<InferenceRpcs>(INFERENCE_SERVICE);
  const { RepositoryModelLoad, RepositoryModelUnload, ...settings } = controlAnswers(control);
  const methods = new Map<string, Method>([
    ['ModelInfer', inferMethod(api)],
    ['ModelStreamInfer', streamInferMethod((message) => api.streamInfer(message))],
    ...unaryMethods<UnaryRpcs>(codecs, {
      ServerLive: () => ({ live: api.live() }),
      ServerReady: () => ({ ready: api.ready() }),
      ModelReady: ({ name, version }) => ({ ready: api.modelReady(name, version) }),
      ServerMetadata: () => api.serverMetadata(),
      ModelMetadata: ({ name, version }) => api.modelMetadata(name, version),
      ModelConfig: ({ name, version }) => ({ config: api.modelConfig(name, version) }),
      ...settings,
      ...SHARED_MEMORY_ANSWERS,
    }),
    ['SystemSharedMemoryRegister', sharedMemoryRefusal('SystemSharedMemoryRegister')],
    ['CudaSharedMemoryRegister', sharedMemoryRefusal('CudaSharedMemoryRegister')],
    [
      'ModelStatistics',
      listMethod(
        codecs.ModelStatistics,
        ({ name, version }) => api.modelStatistics(name, version),
        (model_stats) => ({ model_stats }),
      ),
    ],
    [
      'RepositoryIndex',
      listMethod(
        codecs.RepositoryIndex,
        (request) => modelIndex(request, control),
        (models) => ({ models }),
      ),
    ],
    ['RepositoryModelLoad', loadMethod(codecs.RepositoryModelLoad, RepositoryModelLoad, control)],
    ['RepositoryModelUnload', unaryMethod(repositoryCodec(codecs.RepositoryModelUnload), RepositoryModelUnload)],
  ]);
  const screens = controlScreens(control, screenControl);
  const routes = new Map<string, Method>();
  for (const [name, method] of methods) {
    const screen = screens.get(name) ?? method.screen;
    routes.set(`/${INFERENCE_SERVICE}/${name}`, isServed(name, served) ? { ...method, screen } : refusal(name, served));
  }
  return routes;
}

/** The request may hold a model's files: it has the limit of inference requests. */
function loadMethod(
  codec: Codec<object, object>,
  answer: Answers<LoadingRpcs>['RepositoryModelLoad'],
  { takesFiles }: ControlApi,
): Method {
  const method = unaryMethod(repositoryCodec(codec), answer);
  if (takesFiles) return { ...method, maxMessageBytes: undefined };
  const setting = 'without allowModelUpload, which lets clients send the files of models';
  return { ...method, maxMessageBytes: MAX_REQUEST_BYTES_WITHOUT_FILES, messageLimitSetting: setting };
}

/** By RPC: who may call it, and whether the server does it at all. Both are known at the head of a call. */
function controlScreens(control: ControlApi, screenControl: Screen = () => undefined): ReadonlyMap<string, Screen> {
  const screenLoading: Screen = (call) => screenControl(call) ?? control.screenLoading();
  return new Map([...ADMIN_RPCS].map((name) => [name, LOADING_RPCS.has(name) ? screenLoading : screenControl]));
}

function isServed(name: string, served: ServedRpcs): boolean {
  if (served === 'all') return true;
  if (served === 'without-admin') return !ADMIN_RPCS.has(name);
  return name !== 'ModelInfer' && name !== 'ModelStreamInfer';
}

/** The common case is that there is only one, or none. */
function joined(some: Trailers | undefined, more: Trailers | undefined): Trailers | undefined {
  return some === undefined ? more : more === undefined ? some : { ...some, ...more };
}

function inferMethod(api: InferenceApi): Method {
  const answer = async (call: UnaryCall, replied: Promise<Reply>): Promise<void> => {
    try {
      const { chunks, memory, trailers, requestIsSpent } = await replied;
      call.reply(chunks, joined(trailers, api.loadReport(call)), memory);
      if (requestIsSpent) call.discardMessage();
    } catch (thrown) {
      failWith(call, InferError.from(thrown), api.loadReport(call));
    }
  };
  const handle = (call: UnaryCall): void => {
    const replied = api.infer(call.message, call, call.tensors);
    if (!(replied instanceof InferError)) {
      void answer(call, replied);
      return;
    }
    failWith(call, replied, api.loadReport(call));
    // Under overload most messages end here: memory that waits to be collected costs more than the refusal.
    call.discardMessage();
  };
  return { kind: 'unary', landsTensors: true, screen: (call) => api.screenInfer(call), handle };
}

/** The answer of a port that does not serve the RPC: it names the port that does. */
export function refusal(name: string, served: ServedRpcs): Method {
  const where = served === 'admin-only' ? 'not offered on the admin port' : 'offered only on the admin port';
  return refusingMethod(() => new InferError('unimplemented', `${name} is ${where}`));
}
