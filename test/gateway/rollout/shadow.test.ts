import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { OutputTensor } from '../../../src/gateway/batch/queued-request.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { InferenceRecord } from '../../../src/gateway/inference-record.ts';
import { ModelTable } from '../../../src/gateway/models/model-table.ts';
import { diagnostics, type ShadowEnded } from '../../../src/gateway/ops/diagnostics.ts';
import { MODEL_CONFIG } from '../../../src/gateway/repository/config/model-config.ts';
import type { ModelSignature } from '../../../src/gateway/repository/signature/model-signature.ts';
import { type ShadowOptions, Shadows } from '../../../src/gateway/rollout/shadow.ts';
import { encodeInferRequest } from '../../../src/wire/infer-request.ts';
import { FakeCall } from '../../support/fake-call.ts';
import { FAKE_TIMING, FakeServable } from '../../support/fake-servable.ts';
import { inferInput, inferRequest, spec } from '../../support/infer-requests.ts';

const SIGNATURE: ModelSignature = {
  inputs: [spec('x', 'FP32', [-1, 2])],
  outputs: [{ ...spec('y', 'FP32', [-1, 2]), labelFilename: undefined, labels: [] }],
  batching: { kind: 'on', maxRows: 8 },
};

function floats(...values: number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

function output(...values: number[]): OutputTensor[] {
  return [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: floats(...values) }];
}

/** Version 1 of `m`, whose shadow is version 2. */
class Scene {
  readonly primary = new FakeServable('m', SIGNATURE, '1');
  readonly shadow = new FakeServable('m', SIGNATURE, '2');
  readonly admission = { isBusy: false };
  readonly events: ShadowEnded[] = [];
  readonly shadows: Shadows;

  constructor({ share = 1, ...options }: ShadowOptions & { share?: number } = {}) {
    const config = MODEL_CONFIG.parse({ tensorgate: { traffic: { shadow: { version: 2, share } } } });
    const models = new ModelTable();
    for (const model of [this.primary, this.shadow]) models.add(Object.assign(model, { config }));
    this.shadows = new Shadows(models, this.admission, options);
    onTestFinished(diagnostics.shadowEnded.subscribe((event) => this.events.push(event)));
  }

  /** A request that the primary answered with twice its input. */
  mirror(model: FakeServable = this.primary, call = new FakeCall()): void {
    const request = inferRequest({ inputs: [inferInput('x', 'FP32', [1, 2])], rawInputContents: [floats(1, 2)] });
    const record = new InferenceRecord(Buffer.concat(encodeInferRequest(request)), call);
    Object.assign(record, { request, model });
    this.shadows.mirror(record, output(2, 4), FAKE_TIMING);
  }

  /** What became of the copies, when there are so many. */
  async outcomes(count = 1): Promise<ShadowEnded['outcome'][]> {
    await vi.waitUntil(() => this.events.length >= count);
    return this.events.map(({ outcome }) => outcome);
  }
}

test('the shadow gets a copy after the request was answered, and what differs is reported', async () => {
  const scene = new Scene();
  scene.mirror();
  expect(scene.shadow.requests).toHaveLength(0);
  await nextTurn();
  expect(scene.shadow.last.tensors).toMatchObject({ rows: 1, shapes: [[1, 2]] });
  scene.shadow.last.answer(output(2, 3.5));
  expect(await scene.outcomes()).toEqual([
    {
      kind: 'compared',
      result: 'different',
      absolute: 0.5,
      relative: 0.125,
      rowsAgreeing: 1,
      rowsDisagreeing: 0,
      primaryMs: 10,
      shadowMs: 10,
    },
  ]);
  expect(scene.events).toMatchObject([{ model: 'm', primary: '1', shadow: '2' }]);
  expect(scene.shadows.ledger.accounts('m')).toMatchObject([{ equal: 0, different: 1, absolute: 0.5, primaryMs: 10 }]);
});

test('a copy has a limit of its own, and no deadline, metadata or cancellation of the client', async () => {
  const scene = new Scene();
  const call = new FakeCall(performance.now() + 1);
  scene.mirror(scene.primary, call);
  await nextTurn();
  const { call: copy, terms } = scene.shadow.last;
  call.cancel();
  expect(copy).toMatchObject({ deadline: Number.POSITIVE_INFINITY, cancelled: false });
  expect(copy.get('traceparent')).toBeUndefined();
  expect(terms.timeoutMs).toBe(10_000);
  scene.shadow.last.answer(output(2, 4));
  expect(await scene.outcomes()).toMatchObject([{ kind: 'compared', result: 'equal' }]);
});

test('a share of the requests is copied, and none that the shadow itself answered', async () => {
  const draws = [0.1, 0.3, 0.2, 0.9];
  const scene = new Scene({ share: 0.25, random: () => draws.shift() ?? 1 });
  for (let index = 0; index < 4; index++) scene.mirror();
  scene.mirror(scene.shadow);
  await nextTurn();
  expect(scene.shadow.requests).toHaveLength(2);
  expect(draws).toEqual([]);
});

describe('a copy is shed', () => {
  test.each<[string, (scene: Scene) => void]>([
    ['not_ready', ({ shadow }) => shadow.become('UNAVAILABLE')],
    ['breaker_open', ({ shadow }) => Object.assign(shadow, { breaker: 'open' })],
    ['server_busy', ({ admission }) => Object.assign(admission, { isBusy: true })],
    ['primary_busy', ({ primary }) => Object.assign(primary, { queuedRequests: 1 })],
    ['shadow_busy', ({ shadow }) => Object.assign(shadow, { queuedRequests: 1 })],
  ])('%s', async (cause, prepare) => {
    const scene = new Scene();
    prepare(scene);
    scene.mirror();
    expect(await scene.outcomes()).toEqual([{ kind: 'shed', cause }]);
    expect(scene.shadow.requests).toHaveLength(0);
  });

  test('above sixteen at a time, and when they are done there is room again', async () => {
    const scene = new Scene();
    for (let index = 0; index < 20; index++) scene.mirror();
    expect(await scene.outcomes(4)).toEqual(Array(4).fill({ kind: 'shed', cause: 'shadow_busy' }));
    expect(scene.shadow.requests).toHaveLength(16);
    for (const request of scene.shadow.requests) request.answer(output(2, 4));
    await scene.outcomes(20);
    scene.mirror();
    await nextTurn();
    expect(scene.shadow.requests).toHaveLength(17);
  });

  test('above its bytes, which are given back however a copy ends', async () => {
    const scene = new Scene({ maxBytes: 200 });
    for (let round = 1; round <= 3; round++) {
      scene.mirror();
      for (let more = 0; more < 5; more++) scene.mirror();
      await nextTurn();
      const sent = scene.shadow.requests.length;
      expect(sent).toBeLessThanOrEqual(round * 5);
      if (round === 1) scene.shadow.last.fail(new InferError('internal', 'no'));
      for (const request of scene.shadow.requests) request.answer(output(2, 4));
      await scene.outcomes(round * 6);
    }
    const outcomes = await scene.outcomes(18);
    expect(outcomes.filter(({ kind }) => kind === 'failed')).toEqual([{ kind: 'failed', reason: 'internal' }]);
    const shed = outcomes.filter((outcome) => outcome.kind === 'shed' && outcome.cause === 'no_room').length;
    // As many in each round.
    expect(shed % 3).toBe(0);
    expect(shed).toBeGreaterThan(0);
    expect(shed).toBeLessThan(18);
  });
});

test('what the shadow refuses is a failure, and nothing else', async () => {
  const scene = new Scene();
  scene.shadow.signature = { ...SIGNATURE, inputs: [spec('other', 'FP32', [-1, 2])] };
  scene.mirror();
  expect(await scene.outcomes()).toEqual([{ kind: 'failed', reason: 'invalid_request' }]);
  scene.shadow.signature = SIGNATURE;
  scene.mirror();
  await nextTurn();
  scene.shadow.last.fail(new InferError('runner_killed_twice', 'gone'));
  expect(await scene.outcomes(2)).toEqual([
    { kind: 'failed', reason: 'invalid_request' },
    { kind: 'failed', reason: 'runner_killed_twice' },
  ]);
});

test('a large comparison leaves turns of the event loop to others', async () => {
  const scene = new Scene();
  const large = (last: number): OutputTensor[] => {
    const values = new Float32Array(2 ** 20);
    values[values.length - 1] = last;
    return [{ name: 'y', datatype: 'FP32', shape: [2 ** 10, 2 ** 10], data: new Uint8Array(values.buffer) }];
  };
  const request = inferRequest({ inputs: [inferInput('x', 'FP32', [1, 2])], rawInputContents: [floats(1, 2)] });
  const record = new InferenceRecord(Buffer.concat(encodeInferRequest(request)), new FakeCall());
  Object.assign(record, { request, model: scene.primary });
  scene.shadows.mirror(record, large(1), FAKE_TIMING);
  await nextTurn();
  scene.shadow.last.answer(large(2));
  let turns = 0;
  while (scene.events.length === 0) {
    await nextTurn();
    turns++;
  }
  expect(turns).toBeGreaterThanOrEqual(60);
  expect(await scene.outcomes()).toMatchObject([{ result: 'different', absolute: 1, rowsAgreeing: 1024 }]);
});

test('when the server ends, copies are given up, and there are no new ones', async () => {
  const scene = new Scene();
  scene.mirror();
  await nextTurn();
  scene.shadows.end();
  expect(scene.shadow.last.call.cancelled).toBe(true);
  scene.mirror();
  await nextTurn();
  expect(scene.shadow.requests).toHaveLength(1);
  expect(scene.events).toEqual([]);
});
