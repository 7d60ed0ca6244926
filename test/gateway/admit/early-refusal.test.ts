import { describe, expect, onTestFinished, test } from 'vitest';
import { Admission } from '../../../src/gateway/admit/admission.ts';
import { Pressure, refuseEarly } from '../../../src/gateway/admit/early-refusal.ts';
import type { RequestTerms } from '../../../src/gateway/admit/request-terms.ts';
import { InferError, type Reason } from '../../../src/gateway/errors.ts';
import { type Gateway, infer } from '../../../src/gateway/infer.ts';
import { InferenceRecord } from '../../../src/gateway/inference-record.ts';
import { ModelTable } from '../../../src/gateway/models/model-table.ts';
import { diagnostics, type InferenceEnded } from '../../../src/gateway/ops/diagnostics.ts';
import { encodeInferRequest, type InferRequest } from '../../../src/wire/infer-request.ts';
import { DEFAULT_WIRE_LIMITS } from '../../../src/wire/limits.ts';
import { FakeCall } from '../../support/fake-call.ts';
import { FakeServable } from '../../support/fake-servable.ts';
import { inferInput, inferRequest, signatureOf, spec } from '../../support/infer-requests.ts';

const FULL = new InferError('cannot_meet_deadline', 'too much waits', { pushback: 1_000 });
const GOOD = inferRequest({
  id: 'r',
  inputs: [inferInput('x', 'FP32', [1, 1])],
  rawInputContents: [new Uint8Array(4)],
});

/** A model that refuses everything, and remembers on which terms. */
class FullModel extends FakeServable {
  readonly asked: RequestTerms[] = [];

  constructor() {
    super('m', signatureOf([spec('x', 'FP32', [-1, 1])]));
  }

  refusal(_call: unknown, terms: RequestTerms): InferError {
    this.asked.push(terms);
    return FULL;
  }
}

function scene(): { readonly gateway: Gateway; readonly model: FullModel } {
  const models = new ModelTable();
  const model = new FullModel();
  models.add(model);
  const gateway: Gateway = {
    limits: { current: DEFAULT_WIRE_LIMITS },
    maxMessageBytes: 1_000_000,
    models,
    admission: new Admission(1_000_000),
    pressure: new Pressure(),
    shadows: { mirror: () => false },
    typedAnswers: 'as-requested',
  };
  gateway.pressure.note('cannot_meet_deadline', performance.now());
  return { gateway, model };
}

function record(request: InferRequest | Uint8Array): InferenceRecord {
  const wire = request instanceof Uint8Array ? request : Buffer.concat(encodeInferRequest(request));
  return new InferenceRecord(wire, new FakeCall());
}

function ended(): InferenceEnded[] {
  const events: InferenceEnded[] = [];
  onTestFinished(diagnostics.inferenceEnded.subscribe((event) => events.push(event)));
  return events;
}

describe('under pressure a request', () => {
  test('that its model refuses is refused before it is decoded, counted and published like any other', () => {
    const { gateway, model } = scene();
    const events = ended();
    const refused = record(GOOD);
    expect(refuseEarly(refused, gateway)).toBe(FULL);
    expect(refused.request).toBeUndefined();
    expect(model.statistics.fail.count).toBe(1);
    expect(events).toMatchObject([
      { model: model.ref, requestId: 'r', status: 'RESOURCE_EXHAUSTED', reason: 'cannot_meet_deadline', failure: FULL },
    ]);
  });

  test('is judged on the terms that its parameters name', () => {
    const { gateway, model } = scene();
    const parameters = new Map([
      ['priority', { kind: 'uint64', value: 3n } as const],
      ['timeout', { kind: 'int64', value: 5_000n } as const],
    ]);
    refuseEarly(record({ ...GOOD, parameters }), gateway);
    expect(model.asked).toMatchObject([{ priority: 3, timeoutMs: 5 }]);
  });

  test.each<[what: string, request: InferRequest | Uint8Array, reason: Reason]>([
    ['whose bytes are no message', Buffer.from('no message'), 'malformed_message'],
    ['for a model that does not exist', { ...GOOD, modelName: 'nope' }, 'model_not_found'],
    ['for a version that does not exist', { ...GOOD, modelVersion: '7' }, 'model_not_found'],
    [
      'with a parameter of the wrong kind',
      { ...GOOD, parameters: new Map([['timeout', { kind: 'bool', value: true }]]) },
      'invalid_request',
    ],
  ])('%s gets its own error from the whole path', async (_, request, reason) => {
    const { gateway, model } = scene();
    const asked = record(request);
    expect(refuseEarly(asked, gateway)).toBeUndefined();
    await expect(infer(asked, gateway)).rejects.toMatchObject({ reason });
    expect(model.requests).toHaveLength(0);
  });
});

describe('heads are read', () => {
  const now = 1_000;

  test('for a second after a refusal for want of room or time, and not before one', () => {
    const pressure = new Pressure();
    expect(pressure.isHigh(now)).toBe(false);
    pressure.note('queue_full', now);
    expect([pressure.isHigh(now + 999), pressure.isHigh(now + 1_000)]).toEqual([true, false]);
  });

  test('not because a caller made a mistake', () => {
    const pressure = new Pressure();
    for (const reason of ['invalid_request', 'model_not_found', 'rate_limited'] as const) pressure.note(reason, now);
    expect(pressure.isHigh(now)).toBe(false);
  });

  test('after the queue refused a request that had come the whole way', async () => {
    const { gateway: base, model } = scene();
    const gateway = { ...base, pressure: new Pressure() };
    expect(refuseEarly(record(GOOD), gateway)).toBeUndefined();
    model.onRequest = (request) => request.fail(FULL);
    await expect(infer(record(GOOD), gateway)).rejects.toBe(FULL);
    expect(refuseEarly(record(GOOD), gateway)).toBe(FULL);
  });
});
