import { expect, onTestFinished, test } from 'vitest';
import type { HostedModel } from '../../../src/gateway/dispatch/runner.ts';
import { RunnerSet } from '../../../src/gateway/dispatch/runner-set.ts';

function runners(): RunnerSet {
  const made = new RunnerSet(process.env);
  onTestFinished(() => made.close());
  return made;
}

const MODEL = { name: 'm', version: '1' };

function hosted(): HostedModel {
  return { model: MODEL, load: () => Promise.resolve(), unload: () => {}, suspend: () => {} };
}

test('a version that is loaded again gets a runner beside the one it has', () => {
  const set = runners();
  const first = set.runnerFor(MODEL, { shared: undefined, niceness: 0 });
  const second = set.runnerFor(MODEL, { shared: undefined, niceness: 0 });
  expect(second).not.toBe(first);
  expect([first.name, second.name]).toEqual(['m:1', 'm:1']);
});

test('versions that name a runner share it, also after all of them left', async () => {
  const set = runners();
  const shared = set.runnerFor(MODEL, { shared: 'shared', niceness: 0 });
  const one = hosted();
  await shared.load(one);
  shared.unload(one);
  expect(set.runnerFor({ name: 'n', version: '2' }, { shared: 'shared', niceness: 0 })).toBe(shared);
});

test('the end of the server is the end of every runner, and of those that are still to come', async () => {
  const set = runners();
  const own = set.runnerFor(MODEL, { shared: undefined, niceness: 0 });
  await own.load(hosted());
  await set.close();
  expect(own.pid).toBeUndefined();
  await expect(set.runnerFor(MODEL, { shared: undefined, niceness: 0 }).load(hosted())).rejects.toThrow(
    'the server ends',
  );
  await expect(set.runnerFor(MODEL, { shared: 'shared', niceness: 0 }).load(hosted())).rejects.toThrow(
    'the server ends',
  );
});
