import { expect, onTestFinished, test, vi } from 'vitest';
import { Admission } from '../../src/gateway/admit/admission.ts';
import { Pressure, refuseEarly } from '../../src/gateway/admit/early-refusal.ts';
import { RateLimit } from '../../src/gateway/admit/rate-limit.ts';
import { Runner } from '../../src/gateway/dispatch/runner.ts';
import { InferError } from '../../src/gateway/errors.ts';
import { type Gateway, infer } from '../../src/gateway/infer.ts';
import { InferenceRecord } from '../../src/gateway/inference-record.ts';
import { Model } from '../../src/gateway/models/model.ts';
import { ModelTable } from '../../src/gateway/models/model-table.ts';
import { diagnostics, type InferenceEnded } from '../../src/gateway/ops/diagnostics.ts';
import { MODEL_CONFIG } from '../../src/gateway/repository/config/model-config.ts';
import { Shadows } from '../../src/gateway/rollout/shadow.ts';
import { encodeInferRequest, type InferRequest } from '../../src/wire/infer-request.ts';
import { decodeInferResponse } from '../../src/wire/infer-response.ts';
import { DEFAULT_WIRE_LIMITS } from '../../src/wire/limits.ts';
import { FakeCall } from '../support/fake-call.ts';
import { inferInput, inferRequest } from '../support/infer-requests.ts';
import { identityModel } from '../support/onnx-models.ts';
import { isAlive, modelFile, PATIENCE_MS, sessionSpec } from '../support/runners.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** A gateway that serves the identity of FP32 [-1,4] as `m`. */
async function gatewayOfIdentity(): Promise<Gateway & { readonly model: Model }> {
  const runner = new Runner('m:1', process.env);
  const model = new Model(
    {
      ref: { name: 'm', version: '1' },
      config: MODEL_CONFIG.parse({}),
      directory: '/nowhere',
      sessions: [sessionSpec(modelFile(identityModel('FP32')))],
      problem: undefined,
      mailboxDirectory: temporaryDirectory(),
      loadLimitMs: PATIENCE_MS,
      maxRunMs: PATIENCE_MS,
      maxOutputBytes: 64 * 2 ** 20,
    },
    runner,
  );
  onTestFinished(async () => {
    const { pid } = runner;
    model.close();
    if (pid !== undefined) await vi.waitUntil(() => !isAlive(pid), { timeout: 5_000 });
  });
  await model.load();
  const models = new ModelTable();
  models.add(model);
  const admission = new Admission(1_000_000);
  return {
    limits: { current: DEFAULT_WIRE_LIMITS },
    maxMessageBytes: 64 * 2 ** 20,
    models,
    admission,
    pressure: new Pressure(),
    shadows: new Shadows(models, admission),
    typedAnswers: 'as-requested',
    model,
  };
}

function record(request: InferRequest, call = new FakeCall()): InferenceRecord {
  return new InferenceRecord(Buffer.concat(encodeInferRequest(request)), call);
}

test('a tenant that has had its share is refused before its message is looked at', async () => {
  const gateway = await gatewayOfIdentity();
  const limit = { key: 'x-tenant', rate: 0.001, burst: 1, weights: new Map<string, number>() };
  const rateLimit = new RateLimit(limit);
  expect(refuseEarly(record(GOOD), { ...gateway, rateLimit })).toBeUndefined();
  const refused = new InferenceRecord(Buffer.from('this is no message'), new FakeCall());
  expect(refuseEarly(refused, { ...gateway, rateLimit })?.reason).toBe('rate_limited');
  expect(refused.request).toBeUndefined();
  await expect(infer(refused, gateway)).rejects.toMatchObject({ reason: 'malformed_message' });
});

const RAW = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer);
const GOOD = inferRequest({ id: 'r', inputs: [inferInput('input', 'FP32', [1, 4])], rawInputContents: [RAW] });

test('a request comes back as its answer, is counted once, and gives its room back', async () => {
  const gateway = await gatewayOfIdentity();
  const events: InferenceEnded[] = [];
  onTestFinished(diagnostics.inferenceEnded.subscribe((event) => events.push(event)));

  const running = infer(record(GOOD), gateway);
  expect(gateway.admission.requests).toBe(1);
  const { chunks } = await running;
  const answer = decodeInferResponse(Buffer.concat(chunks), DEFAULT_WIRE_LIMITS);
  expect(answer).toMatchObject({ modelName: 'm', modelVersion: '1', id: 'r' });
  expect(Buffer.compare(answer.outputs[0]?.data ?? Buffer.alloc(0), RAW)).toBe(0);
  expect(gateway.admission.requests).toBe(0);
  expect(gateway.model.statistics).toMatchObject({ inferenceCount: 1, executionCount: 1, fail: { count: 0 } });
  expect(events).toMatchObject([{ status: 'OK', rows: 1, requestId: 'r', model: { name: 'm', version: '1' } }]);
});

test('a request that fails says at which stage by its reason, is counted once, and gives its room back', async () => {
  const gateway = await gatewayOfIdentity();
  const events: InferenceEnded[] = [];
  onTestFinished(diagnostics.inferenceEnded.subscribe((event) => events.push(event)));

  const cancelled = new FakeCall();
  cancelled.cancel();
  const attempts = [
    new InferenceRecord(Uint8Array.of(0xff), new FakeCall()),
    record({ ...GOOD, modelName: 'unknown' }),
    record({ ...GOOD, parameters: new Map([['timeout', { kind: 'bool', value: true }]]) }),
    record({ ...GOOD, outputs: [{ name: 'unknown', parameters: new Map() }] }),
    record({ ...GOOD, rawInputContents: [RAW.subarray(1)] }),
    record(GOOD, cancelled),
    record(GOOD, new FakeCall(performance.now() - 1)),
  ];
  const reasons: string[] = [];
  for (const attempt of attempts) {
    await infer(attempt, gateway).then(
      () => reasons.push('answered'),
      (error: unknown) => reasons.push(error instanceof InferError ? error.reason : String(error)),
    );
  }
  expect(reasons).toEqual([
    'malformed_message',
    'model_not_found',
    'invalid_request',
    'invalid_request',
    'invalid_request',
    'cancelled',
    'deadline_exceeded',
  ]);
  expect([gateway.admission.requests, gateway.admission.bytes]).toEqual([0, 0]);
  // What failed before its model was found belongs to no model.
  expect(gateway.model.statistics).toMatchObject({ executionCount: 0, fail: { count: 5 }, success: { count: 0 } });
  expect(events.map(({ reason }) => reason)).toEqual(reasons);
  expect(events.map(({ model }) => model?.name)).toEqual([undefined, undefined, 'm', 'm', 'm', 'm', 'm']);
});

test('a request that the server has no room for is shed before anything of it is expanded', async () => {
  const gateway = { ...(await gatewayOfIdentity()), admission: new Admission(10) };
  await expect(infer(record(GOOD), gateway)).rejects.toMatchObject({ reason: 'queue_full' });
});
