import { decodeInferResponse, type InferResponse } from '../wire/infer-response.ts';
import type { ModelExplanation } from '../wire/model-explanation.ts';
import type { CallOptions, InferOptions, ModelCallOptions, StreamAnswer, StreamRequest } from './client-options.ts';
import { encodeRequest, type Inputs } from './inference-request.ts';
import { InferenceResult, readTiming } from './inference-result.ts';
import { MODEL_INFER } from './inference-service.ts';
import { streamInfer } from './inference-stream.ts';
import { explainMethod } from './models-service.ts';
import { ProtocolClient } from './protocol-client.ts';
import { RESPONSE_LIMITS } from './response-limits.ts';
import { type RolloutOptions, type RolloutState, rolloutMethod, rolloutStateOf } from './rollout-service.ts';
import { type ShadowReport, shadowReportMethod } from './traffic-service.ts';
import type { UnaryMethod } from './unary-call.ts';

/**
 * A client of an inference server that speaks the Open Inference Protocol (KServe v2) over gRPC: tensorgate, Triton and
 * others. One client holds one connection to each address, which carries any number of calls at a time.
 *
 * ```ts
 * await using client = new InferenceClient('localhost:8001', { deadlineMs: 200, retry: true });
 * const result = await client.infer('cifar10', { image: tensor.uint8(pixels, [1, 3, 32, 32]) });
 * result.output('probabilities', 'FP32').data; // Float32Array
 * ```
 * Every method that calls the server rejects with InferenceError.
 */
export class InferenceClient extends ProtocolClient {
  /**
   * Runs `model` on `inputs`. The tensors are sent as raw contents.
   * @throws TypeError where an input or an option cannot be sent
   */
  async infer(model: string, inputs: Inputs, options: InferOptions = {}): Promise<InferenceResult> {
    const message = encodeRequest(model, inputs, options);
    const metadata = options.timing === true ? { ...options.metadata, 'tensorgate-timing': '1' } : options.metadata;
    // A request of a sequence changes the state of its model.
    const isRepeatable = !Object.hasOwn(options.parameters ?? {}, 'sequence_id');
    const terms = { ...options, metadata, model, isRepeatable };
    const { response, trailers } = await this.calls.unary(INFER_METHOD, message, terms);
    return new InferenceResult(response, readTiming(trailers));
  }

  /**
   * Sends `requests` over one stream and yields their answers in order, as fast as both sides take them. `deadlineMs` limits the whole
   * stream; the client's own deadline does not apply. Ending the iteration early cancels outstanding requests.
   */
  stream(
    requests: Iterable<StreamRequest> | AsyncIterable<StreamRequest>,
    options: CallOptions = {},
  ): AsyncGenerator<StreamAnswer, void, undefined> {
    return streamInfer(this.calls, requests, options);
  }

  /** How a version of a model is served, and why (docs/explain.md). Only tensorgate serves it, others are UNIMPLEMENTED. */
  async explainModel(model: string, options: ModelCallOptions = {}): Promise<ModelExplanation> {
    const { version = '' } = options;
    const { response } = await this.calls.unary(explainMethod(), { model, version }, { ...options, model });
    return JSON.parse(response.explanation) as ModelExplanation;
  }

  /** Agreement of the shadow versions of a model; `''`: of all models. Only tensorgate serves it, others are UNIMPLEMENTED. */
  async shadowReports(model: string, options: CallOptions = {}): Promise<readonly ShadowReport[]> {
    return (await this.calls.unary(shadowReportMethod(), { model }, { ...options, model })).response.reports;
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
    const terms = { ...options, model, isRepeatable: false };
    return rolloutStateOf((await this.calls.unary(rolloutMethod('Start'), request, terms)).response);
  }

  /** The rollout of one model, or with `''` of all: running, or the last that ended. */
  async rollouts(model: string, options: CallOptions = {}): Promise<readonly RolloutState[]> {
    const { response } = await this.calls.unary(rolloutMethod('Status'), { model }, { ...options, model });
    return response.rollouts.map(rolloutStateOf);
  }

  /** Ends the rollout of a model: the version before answers all requests again. */
  async abortRollout(model: string, options: CallOptions = {}): Promise<RolloutState> {
    return rolloutStateOf(
      (await this.calls.unary(rolloutMethod('Abort'), { model }, { ...options, model, isRepeatable: false })).response,
    );
  }

  /** Forgets a rollout that ended: requests are spread as the model's configuration says. */
  async forgetRollout(model: string, options: CallOptions = {}): Promise<void> {
    await this.calls.unary(rolloutMethod('Forget'), { model }, { ...options, model, isRepeatable: false });
  }
}

/** ModelInfer, with the codec of `src/wire`: the request is encoded before the call. */
const INFER_METHOD: UnaryMethod<Buffer, InferResponse> = {
  path: MODEL_INFER,
  requestSerialize: (bytes) => bytes,
  responseDeserialize: (bytes) => decodeInferResponse(bytes, RESPONSE_LIMITS),
};
