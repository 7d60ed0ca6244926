/** Load reports of the real server (ORCA), read by grpc-js's own ORCA support, on both transports. */

import { Channel, credentials } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { identityModel } from '../support/onnx-models.ts';
import { orcaClient, type ReadReport, reportIn } from '../support/orca.ts';
import { batchesOf, inferred } from '../support/replicas.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { useServer } from '../support/server-fixture.ts';
import { method } from '../support/stock-client.ts';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
const ASKING = { metadata: { 'endpoint-load-metrics-format': 'bin' } };

function inferRequest(model: string): Buffer {
  return method('inference.GRPCInferenceService', 'ModelInfer').requestSerialize({
    model_name: model,
    inputs: [{ name: 'input', datatype: 'FP32', shape: ['1', '4'], contents: { fp32_contents: [1, 2, 3, 4] } }],
  });
}

describe.each(['h2', 'grpc-js'])('over %s', (transport) => {
  describe('where callers have to ask', () => {
    const flags = ['--log-level', 'silent', '--transport', transport];
    const fixture = useServer({ echo: identityModel('FP32') }, { flags });

    test('an answer has a report for who asks, and none for who does not', async () => {
      const client = new RawClient(fixture.server.grpcPort);
      const asked = await client.unary(INFER, inferRequest('echo'), ASKING);
      expect(asked.status).toBe('OK');
      expect(reportIn(asked.trailers)).toMatchObject({ cpu_utilization: 0, eps: 0 });
      expect(reportIn(asked.trailers)?.rps_fractional).toBeGreaterThan(0);
      expect(reportIn(asked.trailers)?.application_utilization).toBeGreaterThan(0);
      const plain = await client.unary(INFER, inferRequest('echo'));
      expect(plain).toMatchObject({ status: 'OK' });
      expect(reportIn(plain.trailers)).toBeUndefined();
      client.close();
    });

    test('a refusal has one, too', async () => {
      const client = new RawClient(fixture.server.grpcPort);
      await client.unary(INFER, inferRequest('echo'));
      const refused = await client.unary(INFER, inferRequest('nope'), ASKING);
      expect(refused.status).toBe('NOT_FOUND');
      expect(reportIn(refused.trailers)?.rps_fractional).toBeGreaterThan(0);
      client.close();
    });

    test('utilization and rate grow with the load', async () => {
      const client = new RawClient(fixture.server.grpcPort);
      const request = inferRequest('echo');
      const before = reportIn((await client.unary(INFER, request, ASKING)).trailers);
      for (let round = 0; round < 20; round++)
        await Promise.all(Array.from({ length: 50 }, () => client.unary(INFER, request)));
      const after = await reportOnceChanged(client, request, before);
      expect(after.rps_fractional).toBeGreaterThan(before?.rps_fractional ?? Number.NaN);
      expect(after.application_utilization).toBeGreaterThan(before?.application_utilization ?? Number.NaN);
      client.close();
    });

    test('REST reports it in the forms of Triton', async () => {
      const body = JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] });
      const { headers } = await fetch(`${fixture.server.http}/v2/models/echo/infer`, {
        method: 'POST',
        body,
        headers: { 'endpoint-load-metrics-format': 'text' },
      });
      expect(headers.get('endpoint-load-metrics')).toMatch(
        /^TEXT application_utilization=[0-9.e-]+, rps_fractional=[0-9.e-]+, eps=0$/,
      );
      const refused = await fetch(`${fixture.server.http}/v2/models/nope/infer`, {
        method: 'POST',
        body,
        headers: { 'endpoint-load-metrics-format': 'json' },
      });
      expect(refused.status).toBe(404);
      expect(JSON.parse((refused.headers.get('endpoint-load-metrics') ?? '').replace(/^JSON /, ''))).toMatchObject({
        eps: 0,
      });
    });
  });

  test('every answer has one where the setting is always, out of band they end when the server drains', async () => {
    using repository = new Repository({ echo: identityModel('FP32') });
    const flags = ['--log-level', 'silent', '--transport', transport, '--load-reports', 'always'];
    const server = await startServer(repository.directory, { flags });
    const client = new RawClient(server.grpcPort);
    const { trailers } = await client.unary(INFER, inferRequest('echo'));
    expect(reportIn(trailers)?.rps_fractional).toBeGreaterThan(0);
    const outOfBand = orcaClient(new Channel(server.grpc, credentials.createInsecure(), {}));
    const stream = outOfBand.streamCoreMetrics({});
    const first = await new Promise<ReadReport>((resolve) => stream.once('data', resolve));
    expect(first.rps_fractional).toBeGreaterThan(0);
    const ended = new Promise((resolve) => stream.once('status', ({ code }) => resolve(code)));
    stream.resume();
    await server.stop();
    expect(await ended).toBe(0);
    outOfBand.close();
    client.close();
  });

  test('none has one where the setting is off', async () => {
    using repository = new Repository({ echo: identityModel('FP32') });
    const flags = ['--log-level', 'silent', '--transport', transport, '--load-reports', 'off'];
    await using server = await startServer(repository.directory, { flags });
    const client = new RawClient(server.grpcPort);
    const { status, trailers } = await client.unary(INFER, inferRequest('echo'), ASKING);
    expect(status).toBe('OK');
    expect(reportIn(trailers)).toBeUndefined();
    const outcome = await client.unary('/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics', Buffer.alloc(0));
    expect(outcome.status).toBe('UNIMPLEMENTED');
    client.close();
  });
});

describe("grpc-js's weighted_round_robin", () => {
  const policy = { blackout_period: '0s', weight_update_period: '0.1s' };

  test.each([
    ['beside answers', policy],
    ['out of band', { ...policy, enable_oob_load_report: true, oob_load_reporting_period: '1s' }],
  ])('gives a replica that reports more load less, by reports %s', async (_, weighted) => {
    const flags = ['--log-level', 'silent', '--load-reports', 'always'];
    // The same model, but a full batch of the first has eight times the rows: as many requests are an eighth of the load.
    using large = new Repository({ echo: batchesOf(64) });
    using small = new Repository({ echo: batchesOf(8) });
    await using first = await startServer(large.directory, { flags });
    await using second = await startServer(small.directory, { flags });
    const serviceConfig = { loadBalancingConfig: [{ weighted_round_robin: weighted }], methodConfig: [] };
    const balanced = new RawClient(`ipv4:${first.grpc},${second.grpc}`, {
      'grpc.service_config': JSON.stringify(serviceConfig),
    });
    const request = inferRequest('echo');
    /** From 60 calls: the client reads its schema of reports again for each of them, which is most of a call's time. */
    const shareOfSecond = async (): Promise<number> => {
      const before = await inferred(second.grpc);
      for (let call = 0; call < 60; call++) expect((await balanced.unary(INFER, request)).status).toBe('OK');
      return ((await inferred(second.grpc)) - before) / 60;
    };
    // Half, as long as there are no weights; a ninth of them then. The reports decide when, so this waits for it.
    await expect.poll(shareOfSecond, { timeout: 30_000, interval: 0 }).toBeLessThan(0.25);
    balanced.close();
  });
});

/** The first report that differs: the server measures again after 100 ms. */
async function reportOnceChanged(
  client: RawClient,
  request: Buffer,
  before: ReadReport | undefined,
): Promise<ReadReport> {
  for (;;) {
    const { trailers } = await client.unary(INFER, request, ASKING);
    const report = reportIn(trailers);
    if (report === undefined) throw new Error('no report');
    if (report.rps_fractional !== before?.rps_fractional) return report;
  }
}
