import { Channel, type ClientReadableStream, credentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Transport } from '../../../src/gateway/accept/call.ts';
import { LoadReports } from '../../../src/gateway/accept/load-reports.ts';
import { OpenRca } from '../../../src/gateway/accept/open-rca-service.ts';
import type { LoadReport } from '../../../src/wire/load-report.ts';
import { OPTIONS, TRANSPORTS } from '../../interop/transports.ts';
import { type OrcaClient, orcaClient, type ReadReport } from '../../support/orca.ts';
import { collect, RawClient } from './raw-client.ts';

const PATH = '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics';
const BUSY: LoadReport = { applicationUtilization: 0.75, rpsFractional: 40, eps: 0.5 };

describe.each(TRANSPORTS)('OpenRcaService over $name', ({ listen }) => {
  const source: { report: LoadReport | undefined } = { report: undefined };
  let openRca: OpenRca;
  let transport: Transport;
  let channel: Channel;
  let client: OrcaClient;

  beforeEach(async () => {
    source.report = BUSY;
    openRca = new OpenRca(new LoadReports('as-requested', source), { minIntervalMs: 20 });
    transport = await listen(OPTIONS, openRca.routes);
    channel = new Channel(`127.0.0.1:${transport.port}`, credentials.createInsecure(), {});
    client = orcaClient(channel);
  });

  afterEach(async () => {
    client.close();
    openRca.end();
    await transport.drain(1_000);
  });

  async function next(stream: ClientReadableStream<ReadReport>): Promise<ReadReport> {
    return new Promise((resolve, reject) => {
      stream.once('data', resolve);
      stream.once('error', reject);
    });
  }

  test("grpc-js's own client reads a report at once, and what has changed an interval later", async () => {
    const stream = client.streamCoreMetrics({ report_interval: { seconds: 0, nanos: 30_000_000 } });
    const fields = { rps_fractional: 40, eps: 0.5, application_utilization: 0.75 };
    expect(await next(stream)).toMatchObject(fields);
    source.report = { ...BUSY, rpsFractional: 41 };
    let report = await next(stream);
    while (report.rps_fractional === 40) report = await next(stream);
    expect(report).toMatchObject({ ...fields, rps_fractional: 41 });
    stream.on('error', () => {});
    stream.cancel();
  });

  test('a report without fields comes where there is nothing to report yet', async () => {
    source.report = undefined;
    const stream = client.streamCoreMetrics({});
    expect(await next(stream)).toMatchObject({ rps_fractional: 0, application_utilization: 0 });
    stream.on('error', () => {});
    stream.cancel();
  });

  test('no one gets more reports than the least interval allows', async () => {
    const started = performance.now();
    const stream = client.streamCoreMetrics({ report_interval: { seconds: 0, nanos: 1 } });
    for (let reports = 0; reports < 6; reports++) await next(stream);
    // Five intervals of 20 ms; timers may be a little early.
    expect(performance.now() - started).toBeGreaterThan(90);
    stream.on('error', () => {});
    stream.cancel();
  });

  test('streams end with OK when the server drains', async () => {
    const stream = client.streamCoreMetrics({});
    await next(stream);
    const ended = new Promise((resolve) => stream.once('status', ({ code }) => resolve(code)));
    stream.resume();
    openRca.end();
    expect(await ended).toBe(0);
  });

  test('a request that is none, a second one, and none at all are refused', async () => {
    const raw = new RawClient(transport.port);
    const outcome = async (...messages: Uint8Array[]) => {
      const stream = raw.stream(PATH);
      const collected = collect(stream);
      for (const message of messages) stream.write(Buffer.from(message));
      stream.end();
      return collected;
    };
    expect(await outcome(Buffer.from([0xff]))).toMatchObject({ status: 'INTERNAL', text: 'Unable to parse request' });
    expect(await outcome(Buffer.alloc(0), Buffer.alloc(0))).toMatchObject({ status: 'INTERNAL' });
    expect(await outcome()).toMatchObject({ status: 'INTERNAL' });
    raw.close();
  });
});

test('there is no such service where load reports are off', () => {
  expect(new OpenRca(new LoadReports('off', { report: undefined })).routes.size).toBe(0);
});
