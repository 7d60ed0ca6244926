import { expect, test } from 'vitest';
import type { Call } from '../../../../../src/gateway/accept/call.ts';
import type { InferenceApi, Reply } from '../../../../../src/gateway/accept/inference-service.ts';
import { TextRequests, textTensor } from '../../../../../src/gateway/accept/rest/openai/text-requests.ts';
import { InferError, type Reason } from '../../../../../src/gateway/errors.ts';

const CALL: Call = {
  path: '/inference.GRPCInferenceService/ModelInfer',
  deadline: Number.POSITIVE_INFINITY,
  namesDeadline: false,
  wayBackMs: 0,
  cancelled: false,
  onCancel: undefined,
  get: () => undefined,
  keys: () => [],
  fail: () => {},
};

const NUMBERS = Array.from({ length: 100 }, (_, index) => index);
const turn = () => new Promise((resolve) => setImmediate(resolve));

function requestsOf(infer: InferenceApi['infer'], call: Call = { ...CALL }): TextRequests {
  return new TextRequests({ infer } as InferenceApi, call);
}

function shed(reason: Reason): InferError {
  return new InferError(reason, 'too much', { pushback: 10 });
}

const noModel = (): Promise<Reply> => Promise.reject(new Error('no model is asked'));

test('ASK-3: at most 32 texts of a call are in flight, and results come in the order of the texts', async () => {
  let inFlight = 0;
  let most = 0;
  const results = await requestsOf(noModel).each(NUMBERS, async (item) => {
    most = Math.max(most, ++inFlight);
    await turn();
    inFlight--;
    return item * 2;
  });
  expect(most).toBe(32);
  expect(results).toEqual(NUMBERS.map((item) => item * 2));
});

test('ASK-4: a call is not refused for its own texts, where a model takes only a few at a time', async () => {
  let inFlight = 0;
  let refusals = 0;
  const results = await requestsOf(noModel).each(NUMBERS, async (item) => {
    if (inFlight === 3) {
      refusals++;
      throw shed('overloaded');
    }
    inFlight++;
    await turn();
    inFlight--;
    return item;
  });
  expect(results).toEqual(NUMBERS);
  expect(refusals).toBe(29);
});

test.each(['overloaded', 'queue_full', 'cannot_meet_deadline'] as const)(
  'ASK-4: a call ends as %s where none of its texts is taken',
  async (reason) => {
    let asked = 0;
    const answer = requestsOf(noModel).each(NUMBERS, () => {
      asked++;
      return Promise.reject(shed(reason));
    });
    await expect(answer).rejects.toMatchObject({ reason, pushback: 10 });
    expect(asked).toBe(32);
  },
);

test('ASK-2: the first failure ends the call, and cancels requests that are in flight', async () => {
  const calls: Call[] = [];
  const cancelled: string[] = [];
  const requests = requestsOf((_, call) => {
    calls.push(call);
    return new Promise((_resolve, reject) => {
      call.onCancel = (reason) => {
        cancelled.push(reason);
        reject(new InferError('cancelled', 'the caller went away'));
      };
    });
  });
  const answer = requests.each(NUMBERS, (item) => {
    if (item === 5) return Promise.reject(new InferError('invalid_request', 'the sixth is wrong'));
    return requests.ask({ model: 'm', inputs: [textTensor('text', 'a')], outputs: ['y'] });
  });
  await expect(answer).rejects.toMatchObject({ reason: 'invalid_request' });
  expect([calls.length, cancelled]).toEqual([31, Array.from({ length: 31 }, () => 'client')]);
});

test('ASK-1: the end of a call cancels its requests, and steps of them', async () => {
  const call = { ...CALL };
  const requests = requestsOf((_, request) => {
    return new Promise((_resolve, reject) => {
      request.onCancel = (reason) => reject(new InferError('cancelled', reason));
    });
  }, call);
  const inputs = [textTensor('text', 'a')];
  const one = requests.ask({ model: 'm', inputs, outputs: [] });
  const step = requests.ask({ model: 'm:tokenizer', inputs, outputs: [], stepOf: 'm' });
  call.onCancel?.('deadline');
  await expect(one).rejects.toThrow('deadline');
  await expect(step).rejects.toThrow('deadline');
});
