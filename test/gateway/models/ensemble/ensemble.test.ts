import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { z } from 'zod';
import { Admission } from '../../../../src/gateway/admit/admission.ts';
import { type InferTensors, UNIT_ROW } from '../../../../src/gateway/admit/infer-tensors.ts';
import { NO_TERMS, type RequestTerms } from '../../../../src/gateway/admit/request-terms.ts';
import { type Forecast, UNKNOWN } from '../../../../src/gateway/batch/forecast.ts';
import type { InferOutputs, OutputTensor } from '../../../../src/gateway/batch/queued-request.ts';
import { InferError } from '../../../../src/gateway/errors.ts';
import { Ensemble } from '../../../../src/gateway/models/ensemble/ensemble.ts';
import { ModelTable } from '../../../../src/gateway/models/model-table.ts';
import { diagnostics, type InferenceEnded, type ModelChanged } from '../../../../src/gateway/ops/diagnostics.ts';
import { MODEL_CONFIG } from '../../../../src/gateway/repository/config/model-config.ts';
import { bytesOf } from '../../../../src/wire/tensor-bytes.ts';
import { FakeCall } from '../../../support/fake-call.ts';
import { FakeServable } from '../../../support/fake-servable.ts';
import { signatureOf, spec } from '../../../support/infer-requests.ts';

type Config = z.input<typeof MODEL_CONFIG>;
type Step = NonNullable<Config['ensemble_scheduling']>['step'][number];

function rowsOf(...values: readonly number[]): Uint8Array {
  return new Uint8Array(new Float32Array(values).buffer);
}

function valuesOf(bytes: Uint8Array | undefined): number[] {
  return [...new Float32Array(new Uint8Array(bytes ?? []).buffer)];
}

/** An FP32 output of rows with two elements. */
function output(name: string, ...values: readonly number[]): OutputTensor {
  return { name, datatype: 'FP32', shape: [values.length / 2, 2], data: rowsOf(...values) };
}

/** A request of one row for so many inputs of FP32 [-1,2]. */
function oneRow(...inputs: readonly (readonly [number, number])[]): InferTensors {
  return {
    rows: 1,
    bytes: inputs.length * 8,
    size: UNIT_ROW,
    bucket: '',
    inputs: inputs.map((row) => rowsOf(...row)),
    shapes: inputs.map(() => [1, 2]),
  };
}

function fakeModel(
  name: string,
  inputs: readonly string[] = ['x'],
  outputs: readonly string[] = ['y'],
  version = '1',
): FakeServable {
  const rows = (tensor: string) => spec(tensor, 'FP32', [-1, 2]);
  return new FakeServable(name, signatureOf(inputs.map(rows), { outputs: outputs.map(rows) }), version);
}

function step(model_name: string, input_map: Step['input_map'], output_map: Step['output_map']): Step {
  return { model_name, input_map, output_map };
}

function config(
  inputs: readonly string[],
  outputs: readonly string[],
  steps: readonly Step[],
  fields: Config = {},
): Config {
  const tensor = (name: string) => ({ name, data_type: 'TYPE_FP32' as const, dims: [2] });
  return {
    max_batch_size: 4,
    input: inputs.map(tensor),
    output: outputs.map(tensor),
    ensemble_scheduling: { step: [...steps] },
    ...fields,
  };
}

/** in -> first -> mid -> second -> out */
const CHAIN = config(
  ['in'],
  ['out'],
  [step('first', { x: 'in' }, { y: 'mid' }), step('second', { x: 'mid' }, { y: 'out' })],
);

class Bench {
  readonly models = new ModelTable();
  readonly admission: Admission;

  constructor(models: readonly FakeServable[] = [], maxBytes = 1_000_000) {
    for (const model of models) this.models.add(model);
    this.admission = new Admission(maxBytes);
  }

  /** An ensemble that is in the table, after its load has begun. */
  ensemble(given: Config, name = 'pipeline'): Ensemble {
    const plan = {
      ref: { name, version: '1' },
      config: MODEL_CONFIG.parse(given),
      directory: '/nowhere',
      sessions: [],
      problem: undefined,
      mailboxDirectory: '/nowhere',
      loadLimitMs: 0,
      maxRunMs: 60_000,
      maxOutputBytes: 64 * 2 ** 20,
    };
    const ensemble = new Ensemble(plan, this);
    onTestFinished(() => ensemble.close());
    this.models.add(ensemble);
    void ensemble.load();
    return ensemble;
  }
}

function ask(
  ensemble: Ensemble,
  fields: {
    readonly tensors?: InferTensors;
    readonly call?: FakeCall;
    readonly terms?: RequestTerms;
    readonly wanted?: readonly string[];
  } = {},
): Promise<InferOutputs> {
  const { tensors = oneRow([1, 2]), call = new FakeCall(), terms = NO_TERMS, wanted } = fields;
  const { batcher } = ensemble.ready;
  return batcher.enqueue(
    tensors,
    call,
    terms,
    wanted?.map((name) => ({ spec: { name } })),
  );
}

async function failureOf(answer: Promise<InferOutputs>): Promise<InferError> {
  return answer.then(
    () => expect.fail('it was answered'),
    (error: unknown) => InferError.from(error),
  );
}

describe('a request', () => {
  test('goes from step to step: the same bytes, the rows of each step checked and counted by its model', async () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    const bench = new Bench([first, second]);
    const answer = ask(bench.ensemble(CHAIN), { tensors: { ...oneRow([1, 2]), shapes: [[1, 2]] } });
    expect(first.last.tensors).toMatchObject({ rows: 1, bytes: 8, shapes: [[1, 2]] });
    const mid = output('y', 3, 4);
    first.last.answer([mid]);
    await turn();
    expect(second.last.tensors.inputs[0]).toBe(mid.data);
    second.last.answer([output('y', 5, 6)]);
    const { outputs, timing } = await answer;
    expect(outputs).toEqual([output('out', 5, 6)]);
    // Two steps of FAKE_TIMING. It waited in no queue of its own.
    expect(timing).toEqual({ queueMs: 0, inputMs: 4, computeMs: 6, outputMs: 8, batchRows: 1 });
  });

  test('runs steps side by side, and each when its last input is there', async () => {
    const [left, right, join] = [fakeModel('left'), fakeModel('right'), fakeModel('join', ['a', 'b'])];
    const bench = new Bench([left, right, join]);
    const ensemble = bench.ensemble(
      config(
        ['in'],
        ['l', 'out'],
        [
          step('left', { x: 'in' }, { y: 'l' }),
          step('right', { x: 'in' }, { y: 'r' }),
          step('join', { a: 'l', b: 'r' }, { y: 'out' }),
        ],
      ),
    );
    const answer = ask(ensemble);
    expect([left.requests, right.requests]).toMatchObject([{ length: 1 }, { length: 1 }]);
    right.last.answer([output('y', 2, 2)]);
    await turn();
    expect(join.requests).toHaveLength(0);
    left.last.answer([output('y', 1, 1)]);
    await turn();
    expect(join.last.tensors.inputs.map(bytesOf).map(valuesOf)).toEqual([
      [1, 1],
      [2, 2],
    ]);
    join.last.answer([output('y', 3, 3)]);
    // `l` is an answer and a tensor between steps.
    expect((await answer).outputs).toEqual([output('l', 1, 1), output('out', 3, 3)]);
  });

  describe('with two steps beside each other', () => {
    const DIAMOND = config(
      ['in'],
      ['l', 'r', 'out'],
      [
        step('left', { x: 'in' }, { y: 'l' }),
        step('right', { x: 'in' }, { y: 'r' }),
        step('join', { a: 'l', b: 'r' }, { y: 'out' }),
      ],
    );

    function diamond(outlooks: { readonly left: Partial<Forecast>; readonly right: Partial<Forecast> }) {
      const [left, right, join] = [fakeModel('left'), fakeModel('right'), fakeModel('join', ['a', 'b'])];
      left.outlook = { ...UNKNOWN, ...outlooks.left };
      right.outlook = { ...UNKNOWN, ...outlooks.right };
      const bench = new Bench([left, right, join]);
      const ensemble = bench.ensemble(DIAMOND);
      const asked = (): number[] => [left, right, join].map(({ requests }) => requests.length);
      return { ensemble, left, right, join, asked, bench };
    }

    const onOneCore = (parallel = 1) => {
      const outlook = { device: {}, parallel };
      return { left: outlook, right: outlook };
    };

    test('runs them one after the other where their device runs one at a time', async () => {
      const { ensemble, left, right, join, asked } = diamond(onOneCore());
      const answer = ask(ensemble);
      expect(asked()).toEqual([1, 0, 0]);
      left.last.answer([output('y', 1, 1)]);
      await turn();
      expect(asked()).toEqual([1, 1, 0]);
      right.last.answer([output('y', 2, 2)]);
      await turn();
      join.last.answer([output('y', 3, 3)]);
      expect((await answer).outputs.map(({ name }) => name)).toEqual(['l', 'r', 'out']);
    });

    test.each([
      ['their device runs two at a time', onOneCore(2)],
      ['they have devices of their own', { left: { device: {}, parallel: 1 }, right: { device: {}, parallel: 1 } }],
      ['nothing is known of their devices', { left: {}, right: {} }],
    ] as const)('runs them at the same time where %s', async (_, outlooks) => {
      const { ensemble, left, asked } = diamond(outlooks);
      const answer = ask(ensemble);
      expect(asked()).toEqual([1, 1, 0]);
      left.last.fail(new InferError('internal', 'broken'));
      await failureOf(answer);
    });

    test('starts the one with the longest path to the answer first', async () => {
      const outlook = { device: {}, parallel: 1 };
      const { ensemble, left, right, join, asked } = diamond({
        left: { ...outlook, aloneMs: 2 },
        right: { ...outlook, aloneMs: 5 },
      });
      const first = ask(ensemble);
      // What the steps take is not known before the first request has passed them.
      for (const model of [left, right, join]) {
        model.last.answer([output('y', 1, 1)]);
        await turn();
      }
      await first;
      const second = ask(ensemble, { wanted: ['l', 'r'] });
      expect(asked()).toEqual([1, 2, 1]);
      right.last.answer([output('y', 1, 1)]);
      await turn();
      expect(asked()).toEqual([2, 2, 1]);
      left.last.answer([output('y', 1, 1)]);
      await second;
    });

    test.each([
      ['fails', ({ left }: ReturnType<typeof diamond>) => left.last.fail(new InferError('internal', 'broken'))],
      ['is cancelled', (_: ReturnType<typeof diamond>, call: FakeCall) => call.onCancel?.('client')],
    ])('starts none that waits when the one before it %s', async (_, end) => {
      const given = diamond(onOneCore());
      const call = new FakeCall();
      const answer = ask(given.ensemble, { call });
      end(given, call);
      await failureOf(answer);
      await turn();
      expect(given.asked()).toEqual([1, 0, 0]);
      expect(given.bench.admission.bytes).toBe(0);
      // The next request finds nothing on its way.
      const next = ask(given.ensemble, { wanted: ['r'] });
      given.right.last.answer([output('y', 2, 2)]);
      expect((await next).outputs).toEqual([output('r', 2, 2)]);
    });

    test('waits for none that no wanted output needs', async () => {
      const { ensemble, right, asked } = diamond(onOneCore());
      const answer = ask(ensemble, { wanted: ['r'] });
      expect(asked()).toEqual([0, 1, 0]);
      right.last.answer([output('y', 2, 2)]);
      expect((await answer).outputs).toEqual([output('r', 2, 2)]);
    });
  });

  test('runs only the steps that a wanted output needs', async () => {
    const [first, second] = [fakeModel('first', ['x'], ['y', 'z']), fakeModel('second')];
    const bench = new Bench([first, second]);
    const ensemble = bench.ensemble(
      config(
        ['in'],
        ['mid', 'out'],
        [step('first', { x: 'in' }, { y: 'mid' }), step('second', { x: 'mid' }, { y: 'out' })],
      ),
    );
    const answer = ask(ensemble, { wanted: ['mid'] });
    expect(first.last.wanted).toMatchObject([{ spec: { name: 'y' } }]);
    first.last.answer([output('y', 1, 1), output('z', 9, 9)]);
    expect((await answer).outputs).toEqual([output('mid', 1, 1)]);
    expect(second.requests).toHaveLength(0);
  });

  test('that wants no output is answered with none', async () => {
    const first = fakeModel('first');
    const ensemble = new Bench([first, fakeModel('second')]).ensemble(CHAIN);
    expect((await ask(ensemble, { wanted: [] })).outputs).toEqual([]);
    expect(first.requests).toHaveLength(0);
  });

  test('has one deadline for all steps, its priority at each, and its own time limit at none', async () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    const ensemble = new Bench([first, second]).ensemble(CHAIN);
    const before = performance.now();
    const answer = ask(ensemble, { terms: { ...NO_TERMS, timeoutMs: 60_000, priority: 2 } });
    const { deadline } = first.last.call;
    expect(deadline).toBeGreaterThanOrEqual(before + 60_000);
    first.last.answer([output('y', 1, 1)]);
    await turn();
    expect(second.last.call.deadline).toBe(deadline);
    for (const { terms } of [first.last, second.last])
      expect(terms).toMatchObject({ timeoutMs: undefined, priority: 2 });
    second.last.answer([output('y', 1, 1)]);
    await answer;
  });

  test('is refused where too many are in flight, and finds room when one has ended', async () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    const ensemble = new Bench([first, second]).ensemble({ ...CHAIN, tensorgate: { max_ensemble_requests: 1 } });
    const answer = ask(ensemble);
    const refusal = await failureOf(ask(ensemble));
    expect(refusal).toMatchObject({
      reason: 'queue_full',
      message: "ensemble 'pipeline' has as many requests in flight as it may: 1 (tensorgate.max_ensemble_requests)",
    });
    expect(refusal.pushback).toBeGreaterThan(0);
    first.last.answer([output('y', 1, 1)]);
    await turn();
    second.last.answer([output('y', 1, 1)]);
    await answer;
    void ask(ensemble);
    expect(ensemble.inFlight).toBe(1);
  });

  test('takes room for the tensors between its steps, as long as a step needs them', async () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    const bench = new Bench([first, second], 10);
    const ensemble = bench.ensemble(CHAIN);
    const answer = ask(ensemble);
    expect(bench.admission.bytes).toBe(0);
    first.last.answer([output('y', 1, 1)]);
    await turn();
    expect(bench.admission).toMatchObject({ bytes: 8, requests: 0 });
    const refused = failureOf(ask(ensemble));
    first.last.answer([output('y', 1, 1)]);
    expect(await refused).toMatchObject({
      reason: 'queue_full',
      message:
        "in ensemble 'pipeline', step 0 (model 'first'): the server holds 8 of 10 bytes (maxInFlightBytes): 8 more of a tensor between the steps of ensemble 'pipeline' do not fit",
    });
    second.last.answer([output('y', 1, 1)]);
    await answer;
    expect(bench.admission.bytes).toBe(0);
  });
});

describe('time', () => {
  /** A chain whose steps have been seen once, so that their models are asked how long they take. */
  async function seenChain(fields: Config = {}) {
    const models = [fakeModel('first'), fakeModel('second')] as const;
    const bench = new Bench(models);
    const ensemble = bench.ensemble({ ...CHAIN, ...fields });
    const answer = ask(ensemble);
    models[0].last.answer([output('y', 1, 2)]);
    await turn();
    models[1].last.answer([output('y', 1, 2)]);
    await answer;
    return { ensemble, first: models[0], second: models[1] };
  }

  const busy = { ...UNKNOWN, isIdle: false };

  test('is left by each step for the steps behind it', async () => {
    const { ensemble, first, second } = await seenChain();
    second.outlook = { ...busy, runningMs: 20, aloneMs: 5 };
    void ask(ensemble, { call: new FakeCall(performance.now() + 60_000) });
    expect(first.last.terms.behind?.(1)).toMatchObject({ ms: 25, runMs: 5, isIdle: false });
    first.last.answer([output('y', 1, 2)]);
    await turn();
    expect(second.last.terms.behind?.(1)).toMatchObject({ ms: 0, isIdle: true });
    second.last.answer([output('y', 1, 2)]);
  });

  test('that the steps are not expected to need less than refuses a request before its first step', async () => {
    const { ensemble, first, second } = await seenChain();
    second.outlook = { ...busy, waitingMs: 10_000, aloneMs: 5 };
    const before = first.requests.length;
    const error = await failureOf(ask(ensemble, { call: new FakeCall(performance.now() + 1_000) }));
    expect(error.reason).toBe('cannot_meet_deadline');
    expect(error.message).toMatch(/^in ensemble 'pipeline': cannot be answered in time/);
    expect(error.pushback).toBeGreaterThan(0);
    expect(first.requests.length).toBe(before);
    expect(ensemble.inFlight).toBe(0);
  });

  test('that is too short by prediction refuses nothing where every model is idle', async () => {
    const { ensemble, first, second } = await seenChain();
    second.outlook = { ...UNKNOWN, aloneMs: 10_000 };
    const before = first.requests.length;
    void ask(ensemble, { call: new FakeCall(performance.now() + 1_000) });
    expect(first.requests.length).toBe(before + 1);
    first.last.answer([output('y', 1, 2)]);
    await turn();
    second.last.answer([output('y', 1, 2)]);
  });

  test('is the objective where the caller named none: of the whole at the first step, of no step that follows', async () => {
    const { ensemble, first, second } = await seenChain();
    first.outlook = { ...UNKNOWN, aloneMs: 20 };
    second.outlook = { ...UNKNOWN, aloneMs: 30 };
    const call = new FakeCall(performance.now() + 30_000);
    call.namesDeadline = false;
    const now = performance.now();
    void ask(ensemble, { call });
    expect((first.last.terms.objectiveAt ?? 0) - now).toBeGreaterThanOrEqual(500);
    expect((first.last.terms.objectiveAt ?? 0) - now).toBeLessThan(30_000);
    first.last.answer([output('y', 1, 2)]);
    await turn();
    expect(second.last.terms.objectiveAt).toBe(Number.POSITIVE_INFINITY);
    second.last.answer([output('y', 1, 2)]);
  });

  test('beyond the objective refuses a request before its first step', async () => {
    const { ensemble, second } = await seenChain();
    second.outlook = { ...busy, waitingMs: 10_000, aloneMs: 5 };
    const call = new FakeCall(performance.now() + 30_000);
    call.namesDeadline = false;
    const error = await failureOf(ask(ensemble, { call }));
    expect(error.reason).toBe('overloaded');
    expect(error.pushback).toBeGreaterThan(0);
  });

  test('for a nested ensemble covers the steps behind both', async () => {
    const { ensemble, first, second } = await seenChain();
    second.outlook = { ...busy, runningMs: 20, aloneMs: 5 };
    const behind = () => ({ ms: 100, runMs: 40, readyInMs: 0, isIdle: true });
    void ask(ensemble, { call: new FakeCall(performance.now() + 60_000), terms: { ...NO_TERMS, behind } });
    expect(first.last.terms.behind?.(1)).toMatchObject({ ms: 125, runMs: 45, isIdle: false });
    expect(ensemble.forecast({ rows: 1, size: { elements: 2, length: 1 } })).toMatchObject({
      aloneMs: 25,
      isIdle: false,
    });
    first.last.answer([output('y', 1, 2)]);
    await turn();
    second.last.answer([output('y', 1, 2)]);
  });
});

describe('a step that fails', () => {
  test('fails the request with its reason, names itself, and takes the steps beside it along', async () => {
    const [left, right] = [fakeModel('left'), fakeModel('right')];
    const bench = new Bench([left, right]);
    const ensemble = bench.ensemble(
      config(['in'], ['l', 'r'], [step('left', { x: 'in' }, { y: 'l' }), step('right', { x: 'in' }, { y: 'r' })]),
    );
    const call = new FakeCall();
    const answer = failureOf(ask(ensemble, { call }));
    right.last.fail(new InferError('queue_full', 'the queue is full', { pushback: 17 }));
    expect(await answer).toMatchObject({
      reason: 'queue_full',
      message: "in ensemble 'pipeline', step 1 (model 'right'): the queue is full",
      pushback: 17,
    });
    await turn();
    expect(left.last.call.cancelled).toBe(true);
    expect(call.onCancel).toBeUndefined();
    expect([left.statistics.fail.count, right.statistics.fail.count]).toEqual([1, 1]);
  });

  test('is also one that is given what its model does not take', async () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    const ensemble = new Bench([first, second]).ensemble(CHAIN);
    const answer = failureOf(ask(ensemble));
    first.last.answer([{ ...output('y', 1, 1, 1), shape: [1, 3] }]);
    expect(await answer).toMatchObject({
      reason: 'invalid_request',
      message:
        "in ensemble 'pipeline', step 1 (model 'second'): unexpected shape for input 'x' for model 'second'. Expected [-1,2], got [1,3]",
    });
    expect(second.requests).toHaveLength(0);
  });

  test('is also one whose model gives no such output any more', async () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    const ensemble = new Bench([first, second]).ensemble(CHAIN);
    const answer = failureOf(ask(ensemble));
    first.last.answer([output('other', 1, 1)]);
    expect(await answer).toMatchObject({ reason: 'internal', message: expect.stringContaining("no output 'y'") });
    // The model itself has answered.
    expect(first.statistics).toMatchObject({ success: { count: 1 }, fail: { count: 0 } });
  });

  test.each(['client', 'deadline', 'connection'] as const)(
    'is the waiting step when the call ends (%s)',
    async (reason) => {
      const [first, second] = [fakeModel('first'), fakeModel('second')];
      const bench = new Bench([first, second]);
      const call = new FakeCall();
      const answer = failureOf(ask(bench.ensemble(CHAIN), { call }));
      first.last.answer([output('y', 1, 1)]);
      await turn();
      call.cancel(reason);
      expect(await answer).toMatchObject({
        reason: reason === 'deadline' ? 'deadline_exceeded' : 'cancelled',
        message: expect.stringContaining("step 1 (model 'second')"),
      });
      expect(second.last.call.cancelled).toBe(true);
      expect(bench.admission.bytes).toBe(0);
    },
  );

  test('ends with a time limit of the request that is shorter than the deadline of its call', async () => {
    const ensemble = new Bench([fakeModel('first'), fakeModel('second')]).ensemble(CHAIN);
    const failure = await failureOf(ask(ensemble, { terms: { ...NO_TERMS, timeoutMs: 5 } }));
    expect(failure).toMatchObject({ reason: 'deadline_exceeded' });
  });
});

describe('statistics', () => {
  test('count requests for the ensemble and for each model, and every step is reported', async () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    const ensemble = new Bench([first, second]).ensemble(CHAIN);
    const events: InferenceEnded[] = [];
    onTestFinished(diagnostics.inferenceEnded.subscribe((event) => events.push(event)));
    const call = new FakeCall();
    const answer = ask(ensemble, {
      tensors: { ...oneRow([1, 2]), rows: 2, inputs: [rowsOf(1, 2, 3, 4)], shapes: [[2, 2]] },
      call,
    });
    first.last.answer([output('y', 1, 1, 1, 1)]);
    await turn();
    second.last.answer([output('y', 1, 1, 1, 1)]);
    await answer;
    expect(ensemble.statistics.executionCount).toBe(1);
    expect([...ensemble.statistics.batches.values()]).toMatchObject([{ rows: 2, compute: { count: 1, ms: 6 } }]);
    for (const { statistics } of [first, second]) {
      expect(statistics).toMatchObject({ success: { count: 1 }, compute: { count: 1, ms: 3 }, inferenceCount: 2 });
    }
    expect(events.map(({ model, status, rows }) => [model?.name, status, rows])).toEqual([
      ['first', 'OK', 2],
      ['second', 'OK', 2],
    ]);
    for (const event of events) expect(event.call.step).toEqual({ of: call, ensemble: 'pipeline' });
  });
});

describe('the state', () => {
  test('is the state of the steps: it waits for loading steps, and comes and goes with them', () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    second.state = 'LOADING';
    const bench = new Bench([first, second]);
    const seen: ModelChanged[] = [];
    onTestFinished(diagnostics.modelChanged.subscribe((event) => seen.push(event)));
    const ensemble = bench.ensemble(CHAIN);
    expect(() => ensemble.ready).toThrow(
      "model 'pipeline' version 1 is not at ready state: model 'second' version 1 is LOADING: fake",
    );
    second.become('READY');
    expect(ensemble.state).toBe('READY');
    second.become('UNAVAILABLE', 'its runner is gone');
    second.become('READY');
    expect(
      seen.filter(({ model }) => model === ensemble.ref).map(({ state, detail }) => `${state}: ${detail}`),
    ).toEqual([
      "LOADING: model 'second' version 1 is LOADING: fake",
      "READY: ensemble of step 0 (model 'first'), step 1 (model 'second')",
      "UNAVAILABLE: model 'second' version 1 is UNAVAILABLE: its runner is gone",
      "READY: ensemble of step 0 (model 'first'), step 1 (model 'second')",
    ]);
  });

  test('while a step waits for its next runner it is UNAVAILABLE with what the step says now, and its requests wait with it', async () => {
    const second = fakeModel('second');
    const bench = new Bench([fakeModel('first'), second]);
    const ensemble = bench.ensemble(CHAIN);
    second.isDown = true;
    second.become('UNAVAILABLE', 'restarting: attempt 2, next in 5 s');
    expect(ensemble.state).toBe('UNAVAILABLE');
    expect(ensemble.isDown).toBe(true);
    second.detail = 'restarting: attempt 2, next in 4 s';
    expect(ensemble.detail).toBe("model 'second' version 1 is UNAVAILABLE: restarting: attempt 2, next in 4 s");
    expect(ensemble.ready.batcher).toBe(ensemble);
    second.isDown = false;
    second.become('UNAVAILABLE', 'unloaded');
    expect(() => ensemble.ready).toThrow("model 'second' version 1 is UNAVAILABLE: unloaded");
    second.become('READY');
    expect(ensemble.state).toBe('READY');
    expect(ensemble.isDown).toBe(false);
  });

  test('follows what there is: a step that is added, taken away, or replaced by one that does not fit', () => {
    const bench = new Bench([fakeModel('first')]);
    const ensemble = bench.ensemble(CHAIN);
    expect(ensemble.detail).toBe("step 1 (model 'second'): Request for unknown model: 'second' is not found");
    bench.models.add(fakeModel('second'));
    expect(ensemble.state).toBe('READY');
    bench.models.serve('second', [fakeModel('second', ['other'])]);
    expect(ensemble).toMatchObject({
      state: 'UNAVAILABLE',
      detail: "ensemble_scheduling: step 1 (model 'second') has no input 'x': it has 'other'",
    });
    bench.models.serve('second', [fakeModel('second')]);
    expect(ensemble.state).toBe('READY');
    bench.models.forget('second');
    expect(ensemble.state).toBe('UNAVAILABLE');
    ensemble.close();
    bench.models.add(fakeModel('second'));
    expect(ensemble.state).toBe('UNAVAILABLE');
  });

  test('says why a graph is none', () => {
    const broken = config(['in'], ['out'], [step('first', { x: 'nowhere' }, { y: 'out' })]);
    expect(new Bench([fakeModel('first')]).ensemble(broken)).toMatchObject({
      state: 'UNAVAILABLE',
      detail: expect.stringContaining("takes the tensor 'nowhere'"),
    });
  });

  test('survives the reload of a step under load: started requests end there, and new ones go to the new version', async () => {
    const [first, old, next] = [fakeModel('first'), fakeModel('second'), fakeModel('second', ['x'], ['y'], '2')];
    const bench = new Bench([first, old]);
    const ensemble = bench.ensemble(CHAIN);
    const answers = [ask(ensemble), ask(ensemble)];
    first.requests[0]?.answer([output('y', 1, 1)]);
    await turn();
    bench.models.serve('second', [old, next]);
    old.become('UNLOADING');
    first.requests[1]?.answer([output('y', 2, 2)]);
    await turn();
    expect([old.requests, next.requests]).toMatchObject([{ length: 1 }, { length: 1 }]);
    next.last.answer([output('y', 22, 22)]);
    old.last.answer([output('y', 11, 11)]);
    expect((await Promise.all(answers)).map(({ outputs }) => outputs)).toEqual([
      [output('out', 11, 11)],
      [output('out', 22, 22)],
    ]);
    expect(ensemble.state).toBe('READY');
  });

  test('becomes READY from the inside out in nested ensembles, and a request goes through all of them', async () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    first.state = 'LOADING';
    const bench = new Bench([first, second]);
    const outer = bench.ensemble(
      config(['q'], ['a'], [step('pipeline', { in: 'q' }, { out: 'b' }), step('second', { x: 'b' }, { y: 'a' })]),
      'outer',
    );
    const inner = bench.ensemble(CHAIN);
    expect([inner.state, outer.state]).toEqual(['LOADING', 'LOADING']);
    first.become('READY');
    expect([inner.state, outer.state]).toEqual(['READY', 'READY']);
    const call = new FakeCall();
    const answer = ask(outer, { call });
    for (const model of [first, second, second]) {
      expect(model.last.call.step).toEqual({ of: call, ensemble: 'outer' });
      model.last.answer([output('y', 7, 8)]);
      await turn();
    }
    expect((await answer).outputs).toEqual([output('a', 7, 8)]);
    expect([inner.statistics.success.count, second.statistics.success.count]).toEqual([1, 2]);
    const cancelledCall = new FakeCall();
    const failing = failureOf(ask(outer, { call: cancelledCall }));
    cancelledCall.cancel();
    expect(await failing).toMatchObject({
      reason: 'cancelled',
      message: expect.stringMatching(/^in ensemble 'outer', step 0 .*: in ensemble 'pipeline', step 0 .*cancelled/),
    });
  });

  test('is UNAVAILABLE for ensembles that are steps of each other', () => {
    const bench = new Bench();
    const chainTo = (other: string) => config(['in'], ['out'], [step(other, { in: 'in' }, { out: 'out' })]);
    const [a, b] = [bench.ensemble(chainTo('b'), 'a'), bench.ensemble(chainTo('a'), 'b')];
    expect(a).toMatchObject({ state: 'UNAVAILABLE', detail: "ensembles are steps of each other: 'a' -> 'b' -> 'a'" });
    expect(b).toMatchObject({ state: 'UNAVAILABLE', detail: "ensembles are steps of each other: 'b' -> 'a' -> 'b'" });
    expect(bench.ensemble(chainTo('self'), 'self').detail).toBe("ensembles are steps of each other: 'self' -> 'self'");
  });
});

describe('the end', () => {
  test('fails what has steps to start, leaves the rest to the models, and is drained when nothing is in flight', async () => {
    const [first, second] = [fakeModel('first'), fakeModel('second')];
    const ensemble = new Bench([first, second]).ensemble(CHAIN);
    await ensemble.drained();
    const last = ask(ensemble);
    first.last.answer([output('y', 1, 1)]);
    await turn();
    const early = failureOf(ask(ensemble));
    let drained = false;
    const ended = ensemble.drained().then(() => {
      drained = true;
    });
    ensemble.abandon(new InferError('draining', 'the server ends'));
    expect(await early).toMatchObject({ reason: 'draining', message: 'the server ends' });
    expect(first.last.call.cancelled).toBe(true);
    await turn();
    expect(drained).toBe(false);
    second.last.answer([output('y', 1, 1)]);
    await Promise.all([last, ended]);
  });
});

/** A graph of `add` and `mul`, by the places of the tensors that each step takes: the inputs come first, then each step's own. */
interface Arithmetic {
  readonly inputs: number;
  readonly steps: readonly { readonly op: 'add' | 'mul'; readonly a: number; readonly b: number }[];
  /** Numbers to choose wanted outputs, and the next step that ends. */
  readonly choices: readonly number[];
}

const arithmetic: fc.Arbitrary<Arithmetic> = fc
  .record({ inputs: fc.integer({ min: 1, max: 3 }), count: fc.integer({ min: 1, max: 9 }) })
  .chain(({ inputs, count }) =>
    fc.record({
      inputs: fc.constant(inputs),
      steps: fc.tuple(
        ...Array.from({ length: count }, (_, index) =>
          fc.record({
            op: fc.constantFrom('add' as const, 'mul' as const),
            a: fc.nat(inputs + index - 1),
            b: fc.nat(inputs + index - 1),
          }),
        ),
      ),
      choices: fc.array(fc.nat(1_000), { minLength: 32, maxLength: 32 }),
    }),
  );

test('any graph of additions and multiplications gives the expected sums, however its steps end, and runs no step without need', async () => {
  await fc.assert(
    fc.asyncProperty(arithmetic, async ({ inputs, steps, choices }) => {
      const taken = new Set(steps.flatMap(({ a, b }) => [a, b]));
      const name = (tensor: number): string => `t${tensor}`;
      const usedInputs = [...Array(inputs).keys()].filter((tensor) => taken.has(tensor));
      const outputs = steps.map((_, index) => inputs + index);
      // What no step takes has to be an output; some of the others are.
      const given = outputs.filter((tensor, index) => !taken.has(tensor) || (choices[index] ?? 0) % 2 === 0);
      const wanted = given.filter((_, index) => (choices[10 + index] ?? 0) % 3 > 0);
      const said = steps.map(({ op, a, b }, index) =>
        step(op, { a: name(a), b: name(b) }, { y: name(inputs + index) }),
      );
      const values: number[][] = Array.from({ length: inputs }, (_, index) => [index + 2, index - 1]);
      for (const { op, a, b } of steps) {
        values.push(
          [0, 1].map((at) => {
            const [left, right] = [values[a]?.[at] ?? Number.NaN, values[b]?.[at] ?? Number.NaN];
            return Math.fround(op === 'add' ? left + right : left * right);
          }),
        );
      }
      fc.pre(wanted.length > 0);
      const needed = new Set<number>();
      const need = (tensor: number): void => {
        const { a, b } = steps[tensor - inputs] ?? {};
        if (a === undefined || b === undefined || needed.has(tensor)) return;
        needed.add(tensor);
        need(a);
        need(b);
      };
      for (const tensor of wanted) need(tensor);

      const models = (['add', 'mul'] as const).map((op) => fakeModel(op, ['a', 'b']));
      // With an odd choice, the steps share a device that runs one at a time.
      const device = (choices[31] ?? 0) % 2 === 1 ? {} : undefined;
      for (const model of models) model.outlook = { ...UNKNOWN, device, parallel: 1 };
      const bench = new Bench(models);
      const ensemble = bench.ensemble(config(usedInputs.map(name), given.map(name), said.toReversed()));
      const request = oneRow(
        ...usedInputs.map((tensor) => [values[tensor]?.[0] ?? 0, values[tensor]?.[1] ?? 0] as const),
      );
      const pending: (() => void)[] = [];
      for (const model of models) {
        model.onRequest = ({ tensors, answer }) => {
          const [a, b] = tensors.inputs.map(bytesOf).map(valuesOf);
          const both = [0, 1].map((at) => [a?.[at] ?? Number.NaN, b?.[at] ?? Number.NaN] as const);
          const y = both.map(([left, right]) => (model.ref.name === 'add' ? left + right : left * right));
          pending.push(() => answer([output('y', ...y)]));
        };
      }
      const answer = ask(ensemble, { tensors: request, wanted: wanted.map(name) });
      for (let turns = 0; pending.length > 0; turns++) {
        pending.splice((choices[turns % choices.length] ?? 0) % pending.length, 1)[0]?.();
        await turn();
      }
      const { outputs: answered } = await answer;
      expect(answered.map((tensor) => [tensor.name, valuesOf(tensor.data)])).toEqual(
        wanted.map((tensor) => [name(tensor), values[tensor]]),
      );
      expect(models.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(needed.size);
      expect(bench.admission.bytes).toBe(0);
      ensemble.close();
    }),
    { numRuns: 300 },
  );
});
