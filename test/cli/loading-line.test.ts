import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { describeLoading, showLoading } from '../../src/cli/loading-line.ts';
import type { ModelSummary } from '../../src/gateway/main.ts';
import { diagnostics } from '../../src/gateway/ops/diagnostics.ts';

function summary(name: string, state: ModelSummary['state']): ModelSummary {
  return { name, version: '1', state, default: false, detail: '' };
}

test('the line names the first model that loads, and the share of those that are done or failed', () => {
  const models = [
    summary('a', 'READY'),
    summary('b', 'UNAVAILABLE'),
    summary('resnet50', 'LOADING'),
    summary('z', 'LOADING'),
  ];
  expect(describeLoading(models)).toBe('loading 3 of 4: resnet50, 50 %');
  expect(describeLoading(models.slice(0, 2))).toBeUndefined();
});

test('a long name is cut, so that a line of the log covers the whole line', () => {
  const line = describeLoading([summary('n'.repeat(128), 'LOADING')]);
  expect(line).toHaveLength(60);
  expect(line).toMatch(/^loading 1 of 1: n+…, 0 %$/);
});

test('the line is drawn again after each change of a model, and is taken away at the end', async () => {
  const terminal = new PassThrough();
  let models = [summary('a', 'LOADING'), summary('b', 'LOADING')];
  const takeAway = showLoading(terminal, () => models);
  models = [summary('a', 'READY'), summary('b', 'LOADING')];
  diagnostics.modelChanged.publish({ model: { name: 'a', version: '1' }, state: 'READY', detail: '' });
  takeAway();
  diagnostics.modelChanged.publish({ model: { name: 'b', version: '1' }, state: 'READY', detail: '' });
  terminal.end();
  const drawn = (await text(terminal)).split('\r').map((line) => line.replace('\u001b[2K', ''));
  expect(drawn).toEqual(['loading 1 of 2: a, 0 %', 'loading 2 of 2: b, 50 %', '', '']);
});
