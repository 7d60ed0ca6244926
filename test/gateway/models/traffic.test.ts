import { describe, expect, test } from 'vitest';
import type { Call } from '../../../src/gateway/accept/call.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { ModelTable } from '../../../src/gateway/models/model-table.ts';
import { isOnlyShadow, trafficOf } from '../../../src/gateway/models/traffic.ts';
import { MODEL_CONFIG } from '../../../src/gateway/repository/config/model-config.ts';
import { FakeCall } from '../../support/fake-call.ts';
import { FakeServable } from '../../support/fake-servable.ts';

/** A call with metadata. */
function callWith(metadata: Readonly<Record<string, string>>): Call {
  return Object.assign(new FakeCall(), { get: (name: string) => metadata[name], keys: () => Object.keys(metadata) });
}

/** Versions 3, 4 and 5 of `m`, READY; 5 is not. @param tensorgate of the configuration */
function tableOf(tensorgate: object, random: () => number = Math.random): ModelTable {
  const table = new ModelTable(random);
  const config = MODEL_CONFIG.parse({ tensorgate });
  for (const version of ['3', '4', '5']) {
    const made = new FakeServable('m', { inputs: [], outputs: [], batching: { kind: 'off', reason: '' } }, version);
    if (version === '5') made.become('LOADING');
    table.add(Object.assign(made, { config }));
  }
  return table;
}

function found(table: ModelTable, version: string, call?: Call): string {
  try {
    return table.find('m', version, call).ref.version;
  } catch (error) {
    return error instanceof InferError ? error.reason : String(error);
  }
}

describe('a label', () => {
  const table = tableOf({ labels: { stable: 3, canary: 4, next: 5, gone: 9 } });

  test.each([
    ['stable', '3'],
    ['canary', '4'],
    ['next', '5'],
    ['gone', 'model_not_found'],
    ['latest', 'invalid_request'],
    ['Stable', 'invalid_request'],
    ['__proto__', 'invalid_request'],
  ])('%s is %s', (label, expected) => {
    expect(found(table, label)).toBe(expected);
    expect(found(table, '', callWith({ 'tensorgate-version': label }))).toBe(expected);
  });
});

describe('a request that names no version', () => {
  const config = { labels: { canary: 4 }, traffic: { split: { 3: 90, 4: 10 }, sticky_by: 'X-User' } };

  test('gets what its metadata says, before the split', () => {
    const table = tableOf(config, () => 0);
    expect(found(table, '', callWith({ 'tensorgate-version': '4' }))).toBe('4');
    expect(found(table, '', callWith({ 'tensorgate-version': 'canary' }))).toBe('4');
    expect(found(table, '', callWith({ 'tensorgate-version': '' }))).toBe('3');
    expect(found(table, '', callWith({ 'tensorgate-version': '7' }))).toBe('model_not_found');
    // What the request itself says goes first.
    expect(found(table, '3', callWith({ 'tensorgate-version': '4' }))).toBe('3');
  });

  test('gets a version by its share', () => {
    let next = 0;
    const table = tableOf(config, () => next);
    next = 0.899;
    expect(found(table, '', callWith({}))).toBe('3');
    next = 0.901;
    expect(found(table, '', callWith({}))).toBe('4');
  });

  test('gets the version of its sticky value, whatever is drawn, in every replica', () => {
    const [one, other] = [tableOf(config, () => 0), tableOf(config, () => 0.999)];
    const versions = Array.from({ length: 200 }, (_, user) => {
      const call = callWith({ 'x-user': `user ${user}` });
      expect(found(one, '', call)).toBe(found(other, '', call));
      return found(one, '', call);
    });
    expect(new Set(versions)).toEqual(new Set(['3', '4']));
  });

  test('gets, where the split has nothing READY, the highest that is', () => {
    const table = tableOf({ traffic: { split: { 5: 100 } } });
    expect(found(table, '', callWith({}))).toBe('4');
  });

  test('and no call, such as that for metadata, gets the default', () => {
    expect(
      found(
        tableOf(config, () => 0.999),
        '',
      ),
    ).toBe('3');
    expect(tableOf(config).defaultOf('m')?.ref.version).toBe('3');
    expect(tableOf({}).defaultOf('m')?.ref.version).toBe('4');
    expect(tableOf({}).defaultOf('x')).toBeUndefined();
  });

  test('never gets a mere shadow, which answers who names it', () => {
    const table = tableOf({ traffic: { shadow: { version: 4 } } });
    expect(found(table, '', callWith({}))).toBe('3');
    expect(found(table, '4')).toBe('4');
  });

  test('for a step of an ensemble ignores the version that the client named for the ensemble', () => {
    const outer = callWith({ 'tensorgate-version': '3' });
    const step = Object.assign(callWith({ 'tensorgate-version': '3' }), { step: { of: outer, ensemble: 'e' } });
    expect(found(tableOf({}), '', step)).toBe('4');
  });
});

describe('how requests are spread', () => {
  test('can be steered while the model serves, which stays when it is loaded again, and ends with a word', () => {
    const table = tableOf({ labels: { stable: 3 }, traffic: { split: { 3: 1 } } });
    const traffic = table.trafficOf('m');
    if (traffic === undefined) throw new Error('there is a model');
    expect(found(table, '', callWith({}))).toBe('3');
    table.override('m', { split: new Map([['4', 1]]), shadow: undefined });
    expect(found(table, '', callWith({}))).toBe('4');
    expect(found(table, 'stable')).toBe('3');
    table.serve('m', table.versionsOf('m'));
    expect(table.trafficOf('m')).toBe(traffic);
    expect(found(table, '', callWith({}))).toBe('4');
    expect(traffic.configured.split).toEqual(new Map([['3', 1]]));
    table.override('m', undefined);
    expect(found(table, '', callWith({}))).toBe('3');
  });

  test('passes over a version that was rolled back, also where the one before is not READY', () => {
    const table = tableOf({});
    const refused = { split: new Map([['9', 100]]), shadow: { version: '4', share: 0 } };
    table.override('m', refused);
    expect(found(table, '', callWith({}))).toBe('3');
    expect(found(table, '4', callWith({}))).toBe('4');
  });

  test('can be steered before the model is loaded', () => {
    const table = tableOf({});
    const versions = table.versionsOf('m');
    table.serve('m', []);
    table.override('m', { split: new Map([['3', 1]]), shadow: { version: '4', share: 1 } });
    table.serve('m', versions);
    expect(found(table, '', callWith({}))).toBe('3');
    expect(table.trafficOf('m')?.plan.shadow).toEqual({ version: '4', share: 1 });
  });

  test('is forgotten with the versions', () => {
    const table = tableOf({});
    table.serve('m', []);
    expect(table.trafficOf('m')).toBeUndefined();
    expect(found(table, '')).toBe('model_not_found');
  });

  test('names each version that gets only copies', () => {
    const of = (traffic: object) => trafficOf(MODEL_CONFIG.parse({ tensorgate: { traffic } }).tensorgate);
    expect(isOnlyShadow(of({ shadow: { version: 4 } }), '4')).toBe(true);
    expect(isOnlyShadow(of({ shadow: { version: 4 } }), '3')).toBe(false);
    expect(isOnlyShadow(of({ shadow: { version: 4 }, split: { 3: 90, 4: 10 } }), '4')).toBe(false);
  });
});
