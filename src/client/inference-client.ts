/** The client of the Open Inference Protocol: all that a caller imports. */

export type { ModelExplanation } from '../wire/model-explanation.ts';
export type { Datatype, Shape } from '../wire/tensor.ts';
export type {
  CallOptions,
  ClientOptions,
  InferOptions,
  LoadOptions,
  ModelCallOptions,
  ReadyOptions,
  StreamAnswer,
  StreamRequest,
  TlsOptions,
  UnloadOptions,
} from './client-options.ts';
export type { FieldViolation } from './error-details.ts';
export type { HealthStatus } from './health-service.ts';
export { InferenceClient } from './infer-client.ts';
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
export {
  type Class,
  type ClassifyOptions,
  type InputOf,
  type ModelForm,
  ModelsClient,
  type ModelTypes,
  type TensorForm,
  type TypedInferOptions,
  type TypedResult,
} from './models-client.ts';
export type { Interceptor, OutgoingCall } from './outgoing-call.ts';
export type { PemSource } from './pem.ts';
export type { RetryOptions } from './retry-policy.ts';
export type { RolloutEvent, RolloutEvidence, RolloutOptions, RolloutStage, RolloutState } from './rollout-service.ts';
export { type AnyTensor, type Elements, Tensor, tensor } from './tensor.ts';
export type { ShadowReport } from './traffic-service.ts';
