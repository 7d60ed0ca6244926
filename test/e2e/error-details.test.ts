/** What a failed call says besides its status and text: over gRPC, in streams and over REST. */

import type { Metadata } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { InferenceClient, InferenceError, tensor } from '../../src/client/inference-client.ts';
import { decodeErrorDetails } from '../../src/wire/error-details.ts';
import { failureOf, loopInputs } from '../faults/loop-requests.ts';
import { Stall } from '../faults/stall.ts';
import { loopModel, mlpModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';

const config = {
  instance_group: [{ count: 1 }],
  max_batch_size: 1,
  dynamic_batching: { default_queue_policy: { max_queue_size: 1 } },
};
const fixture = useServer({ mlp: mlpModel(), loop: { versions: { 1: loopModel() }, config } });
const WRONG = { nope: tensor.fp32([1], [1]) };

test('a request that does not fit the model names the field, and is not to be retried', async () => {
  using client = new InferenceClient(fixture.server.grpc);
  const { inputs } = await client.modelMetadata('mlp');
  const [input] = inputs;
  const failure = await failureOf(client.infer('mlp', { [input?.name ?? '']: tensor.fp32([1], [1, 1]) }));
  expect(failure).toMatchObject({
    status: 'INVALID_ARGUMENT',
    reason: 'invalid_request',
    retryable: false,
    fieldViolations: [{ field: `inputs['${input?.name}'].shape`, description: failure.details }],
  });
  expect(failure.message).toBe(`[INVALID_ARGUMENT] mlp: ${failure.details}`);
  const unknown = await failureOf(client.infer('mlp', WRONG));
  expect(unknown.fieldViolations[0]?.field).toBe("inputs['nope']");
});

test('an unknown model has the reason of docs/errors.md, and the details repeat status and text', async () => {
  using client = new InferenceClient(fixture.server.grpc);
  const failure = await failureOf(client.infer('unknown', WRONG));
  expect(failure).toMatchObject({ reason: 'model_not_found', fieldViolations: [], pushbackMs: undefined });
  const { metadata } = failure.cause as { metadata: Metadata };
  const [bytes] = metadata.get('grpc-status-details-bin');
  expect(decodeErrorDetails(bytes as Buffer).reason).toBe('model_not_found');
});

test('a refusal under overload says the wait in the trailer, and in RetryInfo rounded up', async () => {
  using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 20_000 });
  await using _stall = await Stall.begin(fixture.server, client);
  const calls = Array.from({ length: 4 }, (_, value) => client.infer('loop', loopInputs(value)));
  void Promise.allSettled(calls);
  const failure = await Promise.any(
    calls.map((call) =>
      call.then(
        () => Promise.reject(new Error('answered')),
        (error) => error,
      ),
    ),
  );
  expect(failure).toBeInstanceOf(InferenceError);
  expect(failure).toMatchObject({ status: 'RESOURCE_EXHAUSTED', reason: 'queue_full', retryable: true });
  const [bytes] = (failure.cause as { metadata: Metadata }).metadata.get('grpc-status-details-bin');
  const { retryDelayMs } = decodeErrorDetails(bytes as Buffer);
  expect(retryDelayMs).toBeGreaterThanOrEqual(failure.pushbackMs);
  expect(retryDelayMs).toBeLessThanOrEqual(failure.pushbackMs * 1.25 + 1);
});

test('each failed request of a stream has its own status, reason and model', async () => {
  using client = new InferenceClient(fixture.server.grpc);
  const requests = [
    { model: 'mlp', id: 'a', inputs: WRONG },
    { model: 'unknown', id: 'b', inputs: WRONG },
  ];
  const failures: unknown[] = [];
  for await (const answer of client.stream(requests)) if (answer.kind === 'error') failures.push(answer.error);
  expect(failures).toMatchObject([
    { status: 'INVALID_ARGUMENT', reason: 'invalid_request', model: 'mlp', retryable: false },
    { status: 'NOT_FOUND', reason: 'model_not_found', model: 'unknown', retryable: false },
  ]);
});

test('REST says the same reason and field', async () => {
  const ask = async (path: string, body: object): Promise<unknown> => {
    const response = await fetch(`${fixture.server.http}${path}`, { method: 'POST', body: JSON.stringify(body) });
    return response.json();
  };
  const inputs = [{ name: 'nope', datatype: 'FP32', shape: [1], data: [1] }];
  expect(await ask('/v2/models/unknown/infer', { inputs })).toEqual({
    error: "Request for unknown model: 'unknown' is not found",
    reason: 'model_not_found',
  });
  expect(await ask('/v2/models/mlp/infer', { inputs })).toMatchObject({
    reason: 'invalid_request',
    field: "inputs['nope']",
  });
});
