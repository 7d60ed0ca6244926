/** Rate limits by tenant: calls, messages of streams, and what metrics show of them. */

import { describe, expect, test } from 'vitest';
import { InferenceClient, type InferenceError, tensor } from '../../src/client/inference-client.ts';
import { failureOf } from '../faults/loop-requests.ts';
import { readMetrics } from '../faults/observation.ts';
import { identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import { oneInstance, rowsOf, SERVED, sumRequest } from './protocol-requests.ts';

const FLAGS = ['--tenant-key', 'x-tenant', '--tenant-rate', '1', '--tenant-burst', '3', '--tenant-weights', 'gold=10'];
const INPUTS = { input: tensor.fp32([1, 2, 3, 4], [1, 4]) };

describe('with a tenant key', () => {
  const fixture = useServer(
    { echo: oneInstance(identityModel('FP32')), sum: SERVED.sum },
    { flags: [...FLAGS, '--log-level', 'silent'] },
  );

  test('each tenant has its share; who is not listed shares one, and is given a time to retry', async () => {
    using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 20_000 });
    const infer = (tenant?: string): Promise<unknown> =>
      client.infer('echo', INPUTS, tenant === undefined ? {} : { metadata: { 'x-tenant': tenant } });
    // Tokens come at one a second, so that a fast machine sees one or two refusals more than a slow one.
    const refused: InferenceError[] = [];
    for (let index = 0; refused.length < 3; index++) {
      await infer(index % 2 === 0 ? `invented-${index}` : undefined).catch((error: InferenceError) =>
        refused.push(error),
      );
    }
    for (const { status, details, pushbackMs } of refused) {
      expect(status).toBe('RESOURCE_EXHAUSTED');
      expect(details).toBe(
        'callers without a share of their own (x-tenant) may send 1 requests a second, and 3 at once: try again later',
      );
      expect(pushbackMs).toBeGreaterThan(0);
      expect(pushbackMs).toBeLessThanOrEqual(1_250);
    }
    for (let count = 0; count < 30; count++) await infer('gold');
    const metrics = await readMetrics(fixture.server);
    const count = (tenant: string, outcome: string): number =>
      metrics('tensorgate_tenant_requests_total', { tenant, outcome });
    expect(count('gold', 'admitted')).toBe(30);
    expect(count('gold', 'limited')).toBe(0);
    expect(count('other', 'admitted')).toBeGreaterThanOrEqual(3);
    expect(count('other', 'limited')).toBe(3);
    expect(metrics('tensorgate_requests_total', { model: 'unknown', reason: 'rate_limited' })).toBe(3);
  });

  test('a message that is none costs a token as well', async () => {
    using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 20_000 });
    const unknown = (): Promise<InferenceError> => failureOf(client.infer('nope', INPUTS));
    const statuses = new Set<string>();
    for (let count = 0; count < 20 && !statuses.has('RESOURCE_EXHAUSTED'); count++)
      statuses.add((await unknown()).status);
    expect(statuses).toContain('RESOURCE_EXHAUSTED');
  });

  test('each message of a stream is charged, and the stream goes on', async () => {
    const stream = fixture.client.open('ModelStreamInfer');
    for (let id = 0; id < 20; id++) stream.send(sumRequest({ id: String(id) }));
    stream.halfClose();
    const answers = await stream.rest();
    expect(answers).toHaveLength(20);
    const refused = answers.filter(({ error_message }) => error_message !== '');
    expect(refused.length).toBeGreaterThan(10);
    for (const { error_message } of refused) expect(error_message).toContain('1 requests a second');
    for (const answer of answers.filter(({ error_message }) => error_message === '')) {
      expect(rowsOf(answer['infer_response'])).toMatchObject({ sum: [11, 22] });
    }
    expect(await stream.ended).toBe('OK');
  });
});

describe('without a tenant key', () => {
  const fixture = useServer(
    { echo: oneInstance(identityModel('FP32')) },
    { flags: ['--tenant-rate', '1', '--tenant-burst', '1'] },
  );

  test('no one is limited', async () => {
    using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 20_000 });
    for (let count = 0; count < 20; count++) await client.infer('echo', INPUTS, { metadata: { 'x-tenant': 'a' } });
    const metrics = await readMetrics(fixture.server);
    expect(metrics('tensorgate_tenant_requests_total', { tenant: 'other', outcome: 'admitted' })).toBe(0);
  });
});
