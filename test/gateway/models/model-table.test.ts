import { describe, expect, test } from 'vitest';
import { Runner } from '../../../src/gateway/dispatch/runner.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { Model } from '../../../src/gateway/models/model.ts';
import { ModelTable } from '../../../src/gateway/models/model-table.ts';
import { MODEL_CONFIG } from '../../../src/gateway/repository/config/model-config.ts';

/** A version that is not loaded; the READY ones only say so. */
function version(name: string, number: number, state: 'LOADING' | 'READY' = 'LOADING'): Model {
  const made = new Model(
    {
      ref: { name, version: String(number) },
      config: MODEL_CONFIG.parse({}),
      directory: '/nowhere',
      sessions: [],
      problem: undefined,
      mailboxDirectory: '/nowhere',
      loadLimitMs: 1,
      maxRunMs: 60_000,
      maxOutputBytes: 64 * 2 ** 20,
    },
    new Runner('none', {}),
  );
  if (state === 'READY') Object.defineProperty(made, 'state', { value: 'READY' });
  return made;
}

function tableOf(...versions: Model[]): ModelTable {
  const table = new ModelTable();
  for (const one of versions) table.add(one);
  return table;
}

function refusalOf(table: ModelTable, name: string, number: string): InferError {
  try {
    table.find(name, number);
  } catch (error) {
    if (error instanceof InferError) return error;
  }
  throw new Error('a model was found');
}

describe('a version that is asked for', () => {
  const table = tableOf(version('m', 10), version('m', 2, 'READY'), version('m', 1, 'READY'), version('other', 7));

  test('is found, ready or not', () => {
    expect(table.find('m', '1').ref).toEqual({ name: 'm', version: '1' });
    expect(table.find('m', '10').ref).toEqual({ name: 'm', version: '10' });
  });

  test('is, where none is asked for, the highest that is ready', () => {
    expect(table.find('m', '').ref.version).toBe('2');
  });

  test('is, where none is ready, the highest', () => {
    expect(tableOf(version('m', 9), version('m', 10)).find('m', '').ref.version).toBe('10');
  });

  test.each([
    { name: 'x', number: '', message: "Request for unknown model: 'x' is not found" },
    { name: 'x', number: '1', message: "Request for unknown model: 'x' is not found" },
    { name: '', number: '', message: "Request for unknown model: '' is not found" },
    { name: '__proto__', number: '', message: "Request for unknown model: '__proto__' is not found" },
    { name: '../m', number: '', message: "Request for unknown model: '../m' is not found" },
    { name: 'm', number: '3', message: "Request for unknown model: 'm' version 3 is not found" },
    { name: 'm', number: '0', message: "Request for unknown model: 'm' version 0 is not found" },
    { name: 'm', number: '01', message: "Request for unknown model: 'm' version 01 is not found" },
  ])("is not found: '$name' '$number'", ({ name, number, message }) => {
    expect(refusalOf(table, name, number)).toMatchObject({ reason: 'model_not_found', message });
  });

  test.each(['x', '-1', '1.0', ' 1', '1e3', '9'.repeat(19), 'latest'])("is no number: '%s'", (number) => {
    expect(refusalOf(table, 'm', number)).toMatchObject({
      reason: 'invalid_request',
      message: `failed to get model version from specified version string '${number}', version should be an integral value > 0`,
    });
  });

  test('is not ready when its model could not be planned, with the reason', () => {
    const broken = tableOf();
    broken.addBroken('b', 'no version');
    expect(refusalOf(broken, 'b', '')).toMatchObject({
      reason: 'model_not_ready',
      message: "model 'b' is not at ready state: no version",
    });
  });
});

test('models are listed by name, and their versions as numbers', () => {
  const table = tableOf(version('b', 10), version('a', 1), version('b', 9));
  table.addBroken('aa', 'no version');
  expect(table.all().map(({ ref }) => `${ref.name} ${ref.version}`)).toEqual(['a 1', 'b 9', 'b 10']);
  expect(table.names()).toEqual(['a', 'aa', 'b']);
  expect(table.versionsOf('b').map(({ ref }) => ref.version)).toEqual(['9', '10']);
  expect(table.versionsOf('x')).toEqual([]);
});

describe('what there is of a model', () => {
  test('changes as a whole, and notifies its subscribers', () => {
    const table = tableOf(version('m', 1, 'READY'), version('m', 3, 'READY'));
    let changes = 0;
    const stop = table.onChange(() => changes++);
    table.serve('m', [version('m', 4), version('m', 2, 'READY')]);
    expect(table.versionsOf('m').map(({ ref }) => ref.version)).toEqual(['2', '4']);
    expect(table.find('m', '').ref.version).toBe('2');
    stop();
    table.serve('m', []);
    expect(changes).toBe(1);
  });

  test('may be nothing: it is known, and has no versions', () => {
    const table = tableOf(version('m', 1, 'READY'));
    table.serve('m', []);
    expect(refusalOf(table, 'm', '')).toMatchObject({
      reason: 'model_not_found',
      message: "Request for unknown model: 'm' has no available versions",
    });
    expect(table.names()).toEqual(['m']);
    table.forget('m');
    expect(table.names()).toEqual([]);
    expect(refusalOf(table, 'm', '').message).toBe("Request for unknown model: 'm' is not found");
  });

  test('is no longer broken once there are versions', () => {
    const table = tableOf();
    table.addBroken('m', 'no version');
    table.serve('m', [version('m', 1, 'READY')]);
    expect(table.broken.size).toBe(0);
  });
});
