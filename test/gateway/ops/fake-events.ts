/** Events as the stages publish them, and the calls that they are about. */

import type { Call } from '../../../src/gateway/accept/call.ts';
import type { BatchEnded, CallEnded, InferenceEnded, ModelRef } from '../../../src/gateway/ops/diagnostics.ts';

export const RESNET: ModelRef = { name: 'resnet', version: '3' };
export const MODEL_INFER = 'inference.GRPCInferenceService/ModelInfer';

export class FakeCall implements Call {
  readonly path: string;
  readonly deadline = Number.POSITIVE_INFINITY;
  readonly wayBackMs = 0;
  readonly namesDeadline = false;
  readonly cancelled = false;
  readonly stream?: Call;
  readonly #metadata: ReadonlyMap<string, string>;
  onCancel: Call['onCancel'];

  constructor(metadata: Readonly<Record<string, string>> = {}, { stream }: { stream?: Call } = {}) {
    this.path = `/${stream === undefined ? MODEL_INFER : 'inference.GRPCInferenceService/ModelStreamInfer'}`;
    this.#metadata = new Map(Object.entries(metadata));
    if (stream !== undefined) this.stream = stream;
  }

  get(name: string): string | undefined {
    return this.#metadata.get(name);
  }

  keys(): Iterable<string> {
    return this.#metadata.keys();
  }

  fail(): void {}
}

export function callEnded(event: Partial<CallEnded> = {}): CallEnded {
  return {
    call: new FakeCall(),
    status: 'OK',
    reason: undefined,
    text: undefined,
    cause: undefined,
    durationMs: 4,
    ...event,
  };
}

export function inferenceEnded(event: Partial<InferenceEnded> = {}): InferenceEnded {
  return {
    call: new FakeCall(),
    model: RESNET,
    requestId: '',
    status: 'OK',
    reason: undefined,
    rows: 2,
    requestBytes: 100,
    responseBytes: 10,
    queueMs: 1,
    batchRows: 8,
    durationMs: 4,
    ...event,
  };
}

export function batchEnded(event: Partial<BatchEnded> = {}): BatchEnded {
  return {
    model: RESNET,
    calls: [new FakeCall()],
    rows: 8,
    reason: 'full',
    outcome: 'ok',
    startedAtMs: Date.now(),
    elapsedMs: 9,
    predictedMs: 10,
    inputMs: 0.25,
    computeMs: 2,
    outputMs: 0.25,
    ...event,
  };
}
