/** Several versions of a model: which one answers, and what a version that only gets copies reports. */

import fs from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { runCommandLine } from '../cli/command-line.ts';
import { readMetrics } from '../faults/observation.ts';
import { offsetModel, slowModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { useServer } from '../support/server-fixture.ts';
import { type Message, StockClient, TRAFFIC } from '../support/stock-client.ts';

const ONE_INSTANCE = [{ count: 1 }];
const PATIENCE = { timeout: 45_000, interval: 20 };

describe('versions of a model', () => {
  const fixture = useServer({
    split: {
      versions: { 1: offsetModel(1), 2: offsetModel(2), 3: offsetModel(3) },
      config: {
        instance_group: ONE_INSTANCE,
        tensorgate: { labels: { stable: 1, canary: 2 }, traffic: { split: { 1: 75, 2: 25 }, sticky_by: 'x-user' } },
      },
    },
  });

  function request(version: string): Message {
    return {
      model_name: 'split',
      model_version: version,
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 3], contents: { fp32_contents: [10, 0, 0] } }],
    };
  }

  /** The version that answered, by its name and by what it added. */
  async function versionOf(metadata: Readonly<Record<string, string>>, version?: string): Promise<string> {
    using client = new InferenceClient(fixture.server.grpc);
    const result = await client.infer('split', { input: tensor.fp32([10, 0, 0], [1, 3]) }, { metadata, version });
    expect(result.output('output', 'FP32').data[0]).toBe(10 + Number(result.modelVersion));
    return result.modelVersion;
  }

  test('answer to labels, and say their numbers', async () => {
    expect(await versionOf({}, 'stable')).toBe('1');
    expect(await versionOf({}, 'canary')).toBe('2');
    expect(await versionOf({}, '3')).toBe('3');
    const { client } = fixture;
    expect(await client.call('ModelReady', { name: 'split', version: 'canary' })).toEqual({ ready: true });
    expect((await client.call('ModelMetadata', { name: 'split', version: 'canary' }))['versions']).toEqual(['2']);
    const { model_stats } = await client.call('ModelStatistics', { name: 'split', version: 'canary' });
    expect(model_stats.map(({ version }: Message) => version)).toEqual(['2']);
    expect(await client.refusal('ModelInfer', request('latest'))).toEqual({
      code: 'INVALID_ARGUMENT',
      text: "failed to get model version from specified version string 'latest', version should be an integral value > 0",
    });
  });

  test('are chosen by metadata when the request names none', async () => {
    expect(await versionOf({ 'tensorgate-version': '3' })).toBe('3');
    expect(await versionOf({ 'tensorgate-version': 'canary' })).toBe('2');
    expect(await versionOf({ 'tensorgate-version': '3' }, 'stable')).toBe('1');
    await expect(versionOf({ 'tensorgate-version': '9' })).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  test('get their shares, and keep whose metadata sticks', async () => {
    const seen = new Map<string, number>();
    for (let user = 0; user < 40; user++) {
      const metadata = { 'x-user': `user-${user}` };
      const version = await versionOf(metadata);
      expect(await versionOf(metadata)).toBe(version);
      seen.set(version, (seen.get(version) ?? 0) + 1);
    }
    // The hash is fixed, so these users are always spread alike.
    expect([...seen.keys()].sort()).toEqual(['1', '2']);
    expect(seen.get('1')).toBeGreaterThan(seen.get('2') ?? 0);
  });

  test('answer requests of a stream too', async () => {
    const stream = fixture.client.open('ModelStreamInfer');
    for (const version of ['canary', '3', 'nope', '']) stream.send({ ...request(version), id: version });
    stream.halfClose();
    const answers = await stream.rest();
    expect(answers.map(({ infer_response }) => infer_response.model_version).slice(0, 2)).toEqual(['2', '3']);
    expect(answers[2]?.['error_message']).toContain("version string 'nope'");
    expect(['1', '2']).toContain(answers[3]?.['infer_response'].model_version);
  });

  test('are answered for, where no request is spread, by the one with the largest share', async () => {
    // The platform and tensors are of version 1; all READY versions are listed, as ever.
    const metadata = await fixture.client.call('ModelMetadata', { name: 'split' });
    expect(metadata).toMatchObject({ name: 'split', versions: ['1', '2', '3'] });
  });
});

/** Version 1 answers, and version 2 gets copies of all requests. */
const SHADOW = { instance_group: ONE_INSTANCE, tensorgate: { traffic: { shadow: { version: 2 } } } };

async function reportOf(client: StockClient, model: string): Promise<Message> {
  const { reports } = await client.call('ShadowReport', { model }, TRAFFIC);
  return reports[0] ?? { equal: '0', different: '0', failures: {}, shed: {} };
}

function sum(counts: Readonly<Record<string, string>>): number {
  return Object.values(counts).reduce((total, count) => total + Number(count), 0);
}

/** Copies whose end is known. */
function ended({ equal, different, failures, shed }: Message): number {
  return Number(equal) + Number(different) + sum(failures) + sum(shed);
}

describe('a shadow', () => {
  const fixture = useServer({ m: { versions: { 1: offsetModel(0), 2: offsetModel(0.5) }, config: SHADOW } });

  test('is compared with the version that answers, exactly, and counts in none of its figures', async () => {
    using client = new InferenceClient(fixture.server.grpc);
    const count = 10;
    for (let index = 1; index <= count; index++) {
      // Half a unit more puts the first column on top of the others only where index is even.
      const top = index % 2 === 0 ? 7.75 : 7;
      const result = await client.infer('m', { input: tensor.fp32([top, 8, 0], [1, 3]) });
      expect(result.modelVersion).toBe('1');
      expect([...result.output('output', 'FP32').data]).toEqual([top, 8, 0]);
      // One after the other, so that no copy is in the way of the next.
      await vi.waitUntil(async () => ended(await reportOf(fixture.client, 'm')) === index, PATIENCE);
    }
    const report = await reportOf(fixture.client, 'm');
    expect(report).toMatchObject({
      model: 'm',
      primary: '1',
      shadow: '2',
      equal: '0',
      different: String(count),
      incomparable: '0',
      max_absolute_difference: 0.5,
      rows_agreeing: String(count / 2),
      rows_disagreeing: String(count / 2),
      failures: {},
      shed: {},
    });
    expect(report['max_relative_difference']).toBeCloseTo(0.5 / 7.5, 6);
    expect(report['primary_mean_ms']).toBeGreaterThan(0);
    expect(report['shadow_mean_ms']).toBeGreaterThan(0);

    const metrics = await readMetrics(fixture.server);
    const pair = { model: 'm', primary: '1', shadow: '2' };
    expect(metrics('tensorgate_shadow_comparisons_total', { ...pair, result: 'different' })).toBe(count);
    expect(metrics('tensorgate_shadow_rows_total', { ...pair, largest: 'other' })).toBe(count / 2);
    expect(metrics('tensorgate_shadow_max_absolute_difference_sum', pair)).toBe(count / 2);
    expect(metrics('tensorgate_requests_total', { model: 'm', version: '1', status: 'OK' })).toBe(count);
    expect(metrics('tensorgate_requests_total', { model: 'm', version: '2', status: 'OK' })).toBe(0);
    expect(metrics('nv_inference_request_success', { model: 'm', version: '2' })).toBe(0);
    expect(metrics('nv_inference_exec_count', { model: 'm', version: '2' })).toBe(count);
  });

  test('is shown on the command line', async () => {
    const { grpc } = fixture.server;
    const table = await runCommandLine(['models', 'shadow', 'm', '--url', grpc]);
    expect(table).toMatchObject({ code: 0, stderr: '' });
    expect(table.stdout).toMatch(/^MODEL|^model/);
    expect(table.stdout).toMatch(/m +1 +2 +10 +0\.0 % +0\.50 \(relative 0\.067\) +50\.0 %/);
    const json = await runCommandLine(['models', 'shadow', '--json', '--url', grpc]);
    expect(JSON.parse(json.stdout)).toMatchObject([{ model: 'm', different: 10, max_absolute_difference: 0.5 }]);
    const unknown = await runCommandLine(['models', 'shadow', 'x', '--url', grpc]);
    expect(unknown).toMatchObject({
      code: 1,
      stderr: "error: Request for unknown model: 'x' is not found (NOT_FOUND); known are m\n",
    });
  });

  test('lets others run before it', () => {
    // The niceness of the server, whatever it is, and of the shadow's runner ten more.
    const own = nicenessOf(fixture.server.pid);
    const niceness = fixture.server.runnerPids().map(nicenessOf);
    expect(niceness.sort((a, b) => a - b)).toEqual([own, Math.min(19, own + 10)]);
  });
});

/** Field 19 of proc(5)'s stat. */
function nicenessOf(pid: number): number {
  return Number(fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[16]);
}

/** Sends requests one after the other until `enough`; each has to be answered by version 1 with its own answer. */
async function askUntil(server: TestServer, enough: () => Promise<boolean> | boolean): Promise<number> {
  using client = new InferenceClient(server.grpc, { deadlineMs: 120_000 });
  let sent = 0;
  while (sent < 20 || !(await enough())) {
    sent++;
    const result = await client.infer('m', { input: tensor.fp32([sent], [1, 1]) });
    expect(result.modelVersion).toBe('1');
    expect(result.output('output', 'FP32').data[0]).toBe(sent);
  }
  return sent;
}

async function expectUntouched(server: TestServer, sent: number): Promise<void> {
  const metrics = await readMetrics(server);
  expect(metrics('tensorgate_requests_total', { model: 'm', version: '1', status: 'OK' })).toBe(sent);
  for (const reason of ['REJECTED', 'CANCELED', 'BACKEND', 'OTHER']) {
    expect(metrics('nv_inference_request_failure', { model: 'm', version: '1', reason })).toBe(0);
  }
  expect(metrics('tensorgate_breaker_state', { model: 'm', version: '1' })).toBe(0);
  expect(metrics('tensorgate_runner_restarts_total', { runner: 'm:1' })).toBe(0);
}

// Their models compute for a time that a busy machine stretches.
describe('clients do not notice a shadow', { timeout: 240_000 }, () => {
  test('that is ten times as slow, whose copies are shed', async () => {
    using repository = new Repository({ m: { versions: { 1: slowModel(40), 2: slowModel(400) }, config: SHADOW } });
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
    using client = new StockClient(server.grpc);
    const sent = await askUntil(server, async () => {
      const { equal, shed } = await reportOf(client, 'm');
      return Number(equal) > 0 && sum(shed) > 0;
    });
    await expectUntouched(server, sent);
    await vi.waitUntil(async () => ended(await reportOf(client, 'm')) === sent, PATIENCE);
    expect(await reportOf(client, 'm')).toMatchObject({ different: '0', failures: {} });
  });

  test('whose process dies again and again', async () => {
    using repository = new Repository({ m: { versions: { 1: slowModel(40), 2: slowModel(400) }, config: SHADOW } });
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'silent'] });
    using client = new StockClient(server.grpc);
    const killing = setInterval(() => {
      for (const pid of server.runnerPids()) if (isShadow(pid)) process.kill(pid, 'SIGSEGV');
    }, 50);
    try {
      const sent = await askUntil(server, async () => {
        const { failures, shed } = await reportOf(client, 'm');
        return sum(failures) > 0 && ['not_ready', 'breaker_open', 'shadow_busy'].some((cause) => cause in shed);
      });
      await expectUntouched(server, sent);
      const metrics = await readMetrics(server);
      expect(metrics('tensorgate_runner_restarts_total', { runner: 'm:2' })).toBeGreaterThan(0);
    } finally {
      clearInterval(killing);
    }
  });
});

function isShadow(pid: number): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes('m:2');
  } catch {
    return false;
  }
}
