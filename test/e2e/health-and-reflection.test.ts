/** `grpc.health.v1.Health` and server reflection: what meshes, probes and command lines ask first. */

import { describe, expect, test } from 'vitest';
import { identityModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { useServer } from '../support/server-fixture.ts';
import { HEALTH, INFERENCE, type Message, StockClient } from '../support/stock-client.ts';
import { BROKEN, SERVED, VERSIONS } from './protocol-requests.ts';

const fixture = useServer({ sum: SERVED.sum, versions: VERSIONS, ...BROKEN }, { flags: ['--log-level', 'silent'] });

describe('health', () => {
  const statuses = {
    '': 'NOT_SERVING',
    [INFERENCE]: 'NOT_SERVING',
    sum: 'SERVING',
    // Some versions are READY.
    versions: 'SERVING',
    broken: 'NOT_SERVING',
    misconfigured: 'NOT_SERVING',
  };

  test('List names the server, its service and every model', async () => {
    const listed = await fixture.client.call('List', {}, HEALTH);
    const found = Object.entries<Message>(listed['statuses']).map(([name, { status }]) => [name, status]);
    expect(Object.fromEntries(found)).toEqual(statuses);
  });

  test.each(Object.entries(statuses))('Check of %j is %s', async (service, status) => {
    expect(await fixture.client.call('Check', { service }, HEALTH)).toEqual({ status });
  });

  test('Check of an unknown name is NOT_FOUND', async () => {
    expect((await fixture.client.refusal('Check', { service: 'nope' }, HEALTH)).code).toBe('NOT_FOUND');
  });

  test.each([
    ['sum', 'SERVING'],
    ['broken', 'NOT_SERVING'],
    ['nope', 'SERVICE_UNKNOWN'],
  ])('Watch of %s begins with %s, and stays open', async (service, status) => {
    const watch = fixture.client.open('Watch', HEALTH);
    watch.send({ service });
    expect(await watch.next()).toEqual({ status });
    watch.cancel();
    expect(await watch.ended).toBe('CANCELLED');
  });

  test('a server with no model that fails is ready; who watches it learns when it drains', async () => {
    using good = new Repository({ echo: identityModel('FP32') });
    const quiet = await startServer(good.directory, { flags: ['--log-level', 'error'] });
    using watcher = new StockClient(quiet.grpc);
    expect(await watcher.call('ServerReady')).toEqual({ ready: true });
    const watches = ['', INFERENCE, 'echo'].map((service) => {
      const watch = watcher.open('Watch', HEALTH);
      watch.send({ service });
      return watch;
    });
    for (const watch of watches) expect(await watch.next()).toEqual({ status: 'SERVING' });
    const stopped = quiet.stop();
    for (const watch of watches) {
      expect(await watch.next()).toEqual({ status: 'NOT_SERVING' });
      expect(await watch.ended).toBe('OK');
    }
    await stopped;
  });
});

describe.each(['v1', 'v1alpha'])('reflection %s', (version) => {
  async function ask(request: Message): Promise<Message> {
    const stream = fixture.client.open('ServerReflectionInfo', `grpc.reflection.${version}.ServerReflection`);
    stream.send(request);
    const answer = await stream.next();
    stream.halfClose();
    expect(await stream.rest()).toEqual([]);
    return answer ?? {};
  }

  test('lists the services', async () => {
    const { list_services_response } = await ask({ list_services: '' });
    expect(list_services_response.service.map(({ name }: Message) => name)).toEqual(
      expect.arrayContaining([INFERENCE, HEALTH, 'xds.service.orca.v3.OpenRcaService']),
    );
  });

  test.each([
    'inference.GRPCInferenceService',
    'inference.GRPCInferenceService.ModelInfer',
    'inference.ModelInferRequest',
    'inference.ModelConfig',
    'grpc.health.v1.Health',
    'xds.service.orca.v3.OpenRcaService',
    'xds.data.orca.v3.OrcaLoadReport',
  ])('knows the file of %s', async (symbol) => {
    const { file_descriptor_response } = await ask({ file_containing_symbol: symbol });
    const files: Buffer[] = file_descriptor_response.file_descriptor_proto;
    expect(files.some((file) => file.includes(symbol.split('.').at(-1) ?? ''))).toBe(true);
  });

  test('says what it does not know', async () => {
    const { error_response } = await ask({ file_containing_symbol: 'inference.Nope' });
    expect(error_response).toMatchObject({ error_code: 5 });
  });
});
