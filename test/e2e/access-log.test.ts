/** What a real server logs of its calls, and of the changes that clients make through every door. */

import { beforeAll, describe, expect, test } from 'vitest';
import { tensor } from '../../src/client/inference-client.ts';
import { DOORS } from '../support/caller.ts';
import { offsetModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { StockClient } from '../support/stock-client.ts';

type Line = Readonly<Record<string, unknown>>;

const LOOPBACK = /^(::ffff:)?127\.0\.0\.1:\d+$/;

let lines: readonly Line[];

beforeAll(async () => {
  using repository = new Repository({ m: { versions: { 1: offsetModel(1) } }, n: { versions: { 1: offsetModel(2) } } });
  const flags = ['--access-log', '1', '--model-control-mode', 'explicit', '--load-model', 'm'];
  const server = await startServer(repository.directory, { flags });
  for (const door of DOORS) {
    using caller = door.connect(server);
    await caller.infer('m', { input: tensor.fp32(new Float32Array(3), [1, 3]) });
    await expect(caller.infer('m', { input: tensor.fp32(new Float32Array(2), [1, 2]) })).rejects.toThrow();
  }
  using client = new StockClient(server.grpc);
  await client.call('RepositoryModelLoad', { model_name: 'n' });
  await client.refusal('RepositoryModelLoad', { model_name: 'none' });
  await client.call('LogSettings', { settings: { log_info: { bool_param: false } } });
  await client.call('LogSettings', {});
  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${server.http}/v2/${path}`, { method: 'POST', body: JSON.stringify(body) });
  await post('repository/models/n/unload', {});
  await post('models/m/trace/setting', { trace_rate: 5 });
  await server.stop();
  lines = (await server.log)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
});

describe('the access log', () => {
  test.each([
    ['ModelInfer', 'grpc'],
    ['ModelStreamInfer', 'grpc'],
    ['ModelInfer', 'rest'],
  ])('has a line for each %s over %s, with the reason of a failure', (name, via) => {
    const method = `inference.GRPCInferenceService/${name}`;
    const mine = lines.filter((line) => line['log'] === 'access' && line['method'] === method && line['via'] === via);
    const inferences = mine.filter((line) => line['model'] !== undefined);
    expect(inferences.map(({ status, reason }) => [status, reason])).toEqual([
      ['OK', undefined],
      ['INVALID_ARGUMENT', 'invalid_request'],
    ]);
    expect(inferences[0]).toMatchObject({ model: 'm', version: '1', rows: 1, batch_rows: 1 });
    for (const stage of ['queue_ms', 'input_ms', 'compute_ms', 'output_ms', 'duration_ms']) {
      expect(inferences[0]?.[stage]).toEqual(expect.any(Number));
    }
    expect(inferences[1]).not.toHaveProperty('compute_ms');
    // The reference transport knows no peers.
    const address = via === 'grpc' && process.env['TENSORGATE_TRANSPORT'] === 'grpc-js' ? /^undefined$/ : LOOPBACK;
    expect(String(inferences[0]?.['address'])).toMatch(address);
    // A stream also has a line of its own, when it ends.
    expect(mine.length - inferences.length).toBe(name === 'ModelStreamInfer' ? 1 : 0);
  });
});

describe('the audit log', () => {
  test('has a line for each change through every door, with the client, and none for calls that only read', () => {
    const audit = lines.filter((line) => line['log'] === 'audit');
    expect(audit.map(({ action, by, via, model, outcome }) => [action, by, via, model, outcome])).toEqual([
      ['model.load', 'start', undefined, 'm', 'ok'],
      ['model.load', 'client', 'grpc', 'n', 'ok'],
      ['model.load', 'client', 'grpc', 'none', 'model_not_found'],
      ['settings.log', 'client', 'grpc', undefined, 'ok'],
      ['model.unload', 'client', 'rest', 'n', 'ok'],
      ['settings.trace', 'client', 'rest', 'm', expect.any(String)],
    ]);
    expect(audit[3]?.['msg']).toBe('settings.log log_info=false');
  });
});
