import { type InferTensors, UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import { FairQueueing } from '../../src/gateway/batch/fair-queueing.ts';
import { QueuePolicies, type QueuePolicy } from '../../src/gateway/batch/queue-policy.ts';
import type { QueuedRequest } from '../../src/gateway/batch/queued-request.ts';
import { FakeCall } from './fake-call.ts';

/** Tensors of one FP32 input, [rows,1]: each row holds `value`, so that answers show whose they are. */
export function fp32Rows(rows: number, value = 0, bucket = '1,;'): InferTensors {
  const elements = new Float32Array(rows).fill(value);
  return {
    rows,
    bytes: rows * 4,
    size: UNIT_ROW,
    bucket,
    inputs: [new Uint8Array(elements.buffer)],
    shapes: [[rows, 1]],
  };
}

const FOREVER = Number.POSITIVE_INFINITY;

/** A request as the queue knows it, for which no caller waits. */
export function queuedRequest(tensors: InferTensors, fields: Partial<QueuedRequest> = {}): QueuedRequest {
  const { level = 1 } = fields;
  return {
    tensors,
    call: new FakeCall(),
    rows: tensors.rows,
    bytes: tensors.bytes,
    workMs: tensors.rows,
    limitMs: FOREVER,
    expiresAt: FOREVER,
    latestAt: FOREVER,
    objectiveAt: FOREVER,
    deadline: FOREVER,
    behind: undefined,
    due: fields.arrivalMs ?? 0,
    arrivalMs: 0,
    level,
    flow: new FairQueueing().flowOf({ tenant: '', weight: 1, level, grantedMs: 1, isNamed: true }),
    tag: 0,
    isWaiting: false,
    suspect: false,
    sentAtMs: 0,
    settled: false,
    timer: undefined,
    occupancy: undefined,
    send: undefined,
    hasAnswers: false,
    whole: undefined,
    resolve: () => {},
    reject: () => {},
    ...fields,
  };
}

/** A policy that grants everything except the named parts. */
export function queuePolicy(fields: Partial<QueuePolicy> = {}): QueuePolicy {
  return {
    maxRequests: Number.POSITIVE_INFINITY,
    defaultTimeoutMs: Number.POSITIVE_INFINITY,
    allowTimeoutOverride: true,
    timeoutAction: 'reject',
    ...fields,
  };
}

/** What holds for all requests of a model without levels of priority. */
export function oneLevel(fields: Partial<QueuePolicy> = {}): QueuePolicies {
  return new QueuePolicies([queuePolicy(fields)]);
}
