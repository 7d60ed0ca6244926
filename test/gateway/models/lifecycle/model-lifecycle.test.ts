import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { diagnostics } from '../../../../src/gateway/ops/diagnostics.ts';
import { failureOf, startLifecycle } from '../../../support/lifecycle-fixture.ts';
import { additionModel, slowModel } from '../../../support/onnx-models.ts';
import { processesOf } from '../../../support/process-tree.ts';
import { PATIENCE_MS } from '../../../support/runners.ts';

const PATIENCE = { timeout: PATIENCE_MS };
const NO_MODEL = Buffer.from('no model');

describe('at the start', () => {
  test('a server that is not controlled has every model', async () => {
    const { lines, ask } = await startLifecycle({ a: additionModel(1), bad: NO_MODEL }, { mode: 'none', initial: [] });
    expect(await lines()).toEqual(['a 1 READY', expect.stringMatching(/^bad 1 UNAVAILABLE .*is a text file/)]);
    expect(await ask('a', 5)).toEqual({ version: '1', value: 6 });
  });

  test('a server that is controlled has those that are named, and lists the others', async () => {
    const fixture = await startLifecycle({ a: additionModel(1), b: additionModel(2) }, { initial: ['b', 'nope'] });
    expect(await fixture.lines()).toEqual([
      'a',
      'b 1 READY',
      "nope  UNAVAILABLE failed to load 'nope', failed to poll from model repository; known are a, b",
    ]);
    expect(await failureOf(fixture.ask('a', 0))).toEqual({
      reason: 'model_not_found',
      message: "Request for unknown model: 'a' is not found",
    });
    expect(fixture.models.broken.has('nope')).toBe(true);
  });

  test.each(['none', 'poll'] as const)('a server in mode %s refuses to load and to unload', async (mode) => {
    const { lifecycle } = await startLifecycle({ a: additionModel(1) }, { mode, pollIntervalMs: PATIENCE_MS });
    const refusal = {
      reason: 'control_disabled',
      message: expect.stringMatching(/^explicit model load \/ unload is not allowed if polling is enabled/),
    };
    expect(await failureOf(lifecycle.load('a'))).toEqual(refusal);
    expect(() => lifecycle.unload('a', { dependents: false })).toThrow(expect.objectContaining(refusal));
  });
});

describe('a load', () => {
  test('takes what is new, and leaves what has not changed as it is', async () => {
    const fixture = await startLifecycle({ m: additionModel(1) });
    const { lifecycle, models, ask, lines } = fixture;
    const first = models.find('m', '1');
    await lifecycle.load('m');
    expect(models.find('m', '1')).toBe(first);
    fixture.repository.publish('m', 2, additionModel(2));
    await lifecycle.load('m');
    expect(models.find('m', '1')).toBe(first);
    expect(await ask('m', 0)).toEqual({ version: '2', value: 2 });
    expect(await ask('m', 0, '1')).toEqual({ version: '1', value: 1 });
    fixture.repository.publish('m', 1, additionModel(10));
    fixture.repository.withdraw('m', 2);
    await lifecycle.load('m');
    expect(await ask('m', 0)).toEqual({ version: '1', value: 10 });
    await vi.waitUntil(async () => (await lines()).includes('m 2 UNAVAILABLE unloaded'), PATIENCE);
    await vi.waitUntil(() => processesOf(process.pid).length === 1, PATIENCE);
  });

  test('that fails keeps the serving version, and gives its reason in the error and in the index', async () => {
    const fixture = await startLifecycle({ m: additionModel(1) });
    const { lifecycle, ask, lines } = fixture;
    const [runner] = processesOf(process.pid);
    fixture.repository.publish('m', 1, NO_MODEL);
    const failure = await failureOf(lifecycle.load('m'));
    expect(failure).toEqual({
      reason: 'load_failed',
      message: expect.stringMatching(
        /^load failed for model 'm': version 1 is at UNAVAILABLE state: .*is a text file.*;$/s,
      ),
    });
    expect(await lines()).toEqual([expect.stringMatching(/^m 1 READY .*is a text file/)]);
    expect(await ask('m', 0)).toEqual({ version: '1', value: 1 });
    await vi.waitUntil(() => processesOf(process.pid).length === 1, PATIENCE);
    expect(processesOf(process.pid)).toEqual([runner]);
    fixture.repository.publish('m', 1, additionModel(3));
    await lifecycle.load('m');
    expect(await lines()).toEqual(['m 1 READY']);
    expect(await ask('m', 0)).toEqual({ version: '1', value: 3 });
  });

  test('never takes the only version that is ready for one that is not', async () => {
    const fixture = await startLifecycle({ m: additionModel(1) });
    fixture.repository.publish('m', 2, NO_MODEL);
    fixture.repository.withdraw('m', 1);
    expect(await failureOf(fixture.lifecycle.load('m'))).toMatchObject({ reason: 'load_failed' });
    expect(await fixture.lines()).toEqual(['m 1 READY', expect.stringMatching(/^m 2 UNAVAILABLE .*is a text file/)]);
    expect(await fixture.ask('m', 0)).toEqual({ version: '1', value: 1 });
  });

  test('with a wrong configuration names the mistake, before anything is started', async () => {
    const fixture = await startLifecycle({ m: additionModel(1) });
    fs.writeFileSync(path.join(fixture.repository.directory, 'm/config.yaml'), 'max_batch_size: -1\n');
    expect(await failureOf(fixture.lifecycle.load('m'))).toEqual({
      reason: 'load_failed',
      message: expect.stringMatching(/^failed to load 'm': .*config\.yaml:1:17: max_batch_size: /),
    });
    expect(await fixture.lines()).toEqual([expect.stringMatching(/^m 1 READY .*config\.yaml:1:17/)]);
    expect(processesOf(process.pid)).toHaveLength(1);
  });

  test('whose runner dies meanwhile fails by itself', async () => {
    const fixture = await startLifecycle({ m: additionModel(1) });
    const { lifecycle, ask } = fixture;
    const [serving] = processesOf(process.pid);
    fixture.repository.publish('m', 1, additionModel(2));
    const loading = failureOf(lifecycle.load('m'));
    const runner = await vi.waitUntil(() => processesOf(process.pid).find((pid) => pid !== serving && isRunner(pid)), {
      ...PATIENCE,
      interval: 1,
    });
    process.kill(runner, 'SIGSEGV');
    expect((await loading).message).toContain('the runner ended while loading the model: killed by SIGSEGV');
    expect(await ask('m', 0)).toEqual({ version: '1', value: 1 });
    await lifecycle.load('m');
    expect(await ask('m', 0)).toEqual({ version: '1', value: 2 });
  });

  test('whose files change meanwhile fails', async () => {
    const fixture = await startLifecycle({ m: additionModel(1) });
    fixture.repository.publish('m', 1, additionModel(2));
    const file = path.join(fixture.repository.directory, 'm/1/model.onnx');
    const loading = failureOf(fixture.lifecycle.load('m'));
    await vi.waitUntil(() => processesOf(process.pid).length === 2, { ...PATIENCE, interval: 1 });
    fs.utimesSync(file, new Date(), new Date());
    expect((await loading).message).toContain('its files changed while it was loaded');
    expect(await fixture.ask('m', 0)).toEqual({ version: '1', value: 1 });
  });

  test.each(['nope', '', '..', 'm/1', '__proto__'])(
    "a load of a missing model fails with model_not_found: '%s'",
    async (name) => {
      const { lifecycle, lines } = await startLifecycle({ m: additionModel(1) });
      expect(await failureOf(lifecycle.load(name))).toEqual({
        reason: 'model_not_found',
        message: `failed to load '${name}', failed to poll from model repository`,
      });
      expect(() => lifecycle.unload(name, { dependents: true })).not.toThrow();
      expect(await lines()).toEqual(['m 1 READY']);
    },
  );

  test('with a configuration of its own has it until the next plain one', async () => {
    const { lifecycle, models } = await startLifecycle({ m: additionModel(1) });
    const config = JSON.stringify({ max_batch_size: 3 });
    await lifecycle.load('m', { config, files: new Map() });
    expect(models.find('m', '').detail).toContain('max 3 rows');
    expect(await failureOf(lifecycle.load('m', { config: '{"max_batch": 3}', files: new Map() }))).toEqual({
      reason: 'load_failed',
      message: expect.stringMatching(/^failed to load 'm': parameter 'config':1:15: max_batch: Unrecognized key/),
    });
    expect(models.find('m', '').detail).toContain('max 3 rows');
    await lifecycle.load('m');
    expect(models.find('m', '').detail).toContain('max 64 rows');
  });

  test('follows those before it about the same model', async () => {
    const fixture = await startLifecycle({ m: additionModel(1), n: additionModel(2) });
    const { lifecycle, lines } = fixture;
    fixture.repository.publish('m', 2, additionModel(2));
    const first = lifecycle.load('m');
    lifecycle.unload('m', { dependents: false });
    const second = lifecycle.load('m');
    lifecycle.unload('m', { dependents: false });
    await Promise.all([first, second]);
    await vi.waitUntil(() => processesOf(process.pid).length === 1, PATIENCE);
    expect(await lines()).toEqual(['m 1 UNAVAILABLE unloaded', 'm 2 UNAVAILABLE unloaded', 'n 1 READY']);
  });

  test('is refused when the server ends', async () => {
    const { lifecycle } = await startLifecycle({ m: additionModel(1) }, { initial: [] });
    const loading = failureOf(lifecycle.load('m'));
    lifecycle.end();
    expect((await loading).reason).toBe('draining');
    expect((await failureOf(lifecycle.load('m'))).reason).toBe('draining');
    expect(await lifecycle.index()).toEqual([{ name: 'm', version: '', state: '', reason: '' }]);
  });
});

function isRunner(pid: number): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/worker/runner.');
  } catch {
    return false;
  }
}

describe('an unload', () => {
  test('takes no new requests, answers the accepted ones, and ends the process', async () => {
    const { lifecycle, ask, lines } = await startLifecycle({ m: slowModel(1_000) });
    const states: string[] = [];
    const unsubscribe = diagnostics.modelChanged.subscribe(({ state, detail }) => states.push(`${state} ${detail}`));
    const accepted = [ask('m', 1), ask('m', 2)];
    lifecycle.unload('m', { dependents: false });
    expect(await lines()).toEqual(['m 1 UNLOADING answers what it accepted']);
    expect(await failureOf(ask('m', 3))).toEqual({
      reason: 'model_not_found',
      message: "Request for unknown model: 'm' has no available versions",
    });
    expect((await Promise.all(accepted)).map(({ value }) => value)).toEqual([1, 2]);
    await vi.waitUntil(() => processesOf(process.pid).length === 0, PATIENCE);
    unsubscribe();
    expect(await lines()).toEqual(['m 1 UNAVAILABLE unloaded']);
    expect(states).toEqual(['UNLOADING answers what it accepted', 'UNAVAILABLE unloaded']);
    lifecycle.unload('m', { dependents: false });
    await lifecycle.load('m');
    expect(await lines()).toEqual(['m 1 READY']);
  });

  test('leaves the others of a shared runner', async () => {
    const config = { tensorgate: { runner: 'together' } };
    const fixture = await startLifecycle({
      a: { versions: { 1: additionModel(1) }, config },
      b: { versions: { 1: additionModel(2) }, config },
    });
    const { lifecycle, ask } = fixture;
    const before = processesOf(process.pid);
    expect(before).toHaveLength(1);
    fixture.repository.publish('a', 1, additionModel(5));
    await lifecycle.load('a');
    expect(await ask('a', 0)).toEqual({ version: '1', value: 5 });
    lifecycle.unload('a', { dependents: false });
    expect(await ask('b', 0)).toEqual({ version: '1', value: 2 });
    expect(processesOf(process.pid)).toEqual(before);
  });
});

describe('an ensemble', () => {
  const step = (model: string, from: string, to: string) => {
    return { model_name: model, input_map: { input: from }, output_map: { output: to } };
  };
  const port = (name: string) => ({ name, data_type: 'TYPE_FP32', dims: [1] });
  const ensemble = (...models: [string, string]) => ({
    versions: { 1: NO_MODEL },
    config: {
      platform: 'ensemble',
      max_batch_size: 8,
      input: [port('IN')],
      output: [port('OUT')],
      ensemble_scheduling: { step: [step(models[0], 'IN', 'between'), step(models[1], 'between', 'OUT')] },
    },
  });

  test('is loaded after the models of its steps, and takes them along', async () => {
    const files = { all: ensemble('x', 'y'), x: additionModel(1), y: additionModel(10), other: additionModel(0) };
    const { lifecycle, lines, ask } = await startLifecycle(files, { initial: [] });
    await lifecycle.load('all');
    expect(await lines()).toEqual(['all 1 READY', 'other', 'x 1 READY', 'y 1 READY']);
    expect(await ask('all', 1)).toEqual({ version: '1', value: 12 });
    lifecycle.unload('all', { dependents: true });
    await vi.waitUntil(() => processesOf(process.pid).length === 0, PATIENCE);
    expect(await lines()).toEqual([
      'all 1 UNAVAILABLE unloaded',
      'other',
      'x 1 UNAVAILABLE unloaded',
      'y 1 UNAVAILABLE unloaded',
    ]);
  });

  test('leaves models that another ensemble needs', async () => {
    const files = { e: ensemble('x', 'y'), f: ensemble('y', 'y'), x: additionModel(1), y: additionModel(10) };
    const { lifecycle, lines, ask } = await startLifecycle(files);
    lifecycle.unload('e', { dependents: true });
    await vi.waitUntil(async () => (await lines()).includes('x 1 UNAVAILABLE unloaded'), PATIENCE);
    expect(await ask('f', 1)).toEqual({ version: '1', value: 21 });
  });

  test('that is a step of itself is refused, and holds no one up', async () => {
    const files = { e: ensemble('f', 'x'), f: ensemble('e', 'x'), x: additionModel(1) };
    const { lifecycle, ask } = await startLifecycle(files, { initial: [] });
    expect((await failureOf(lifecycle.load('e'))).reason).toBe('load_failed');
    await lifecycle.load('x');
    expect(await ask('x', 1)).toEqual({ version: '1', value: 2 });
  });
});
