import { expect, test } from 'vitest';
import { ReadySteps, type StepPlace } from '../../../../src/gateway/models/ensemble/ready-steps.ts';

function readySteps(places: readonly Partial<StepPlace>[], ranks: readonly number[] = []): ReadySteps {
  const steps = new ReadySteps({
    place: (step) => ({ model: `m${step}`, device: undefined, parallel: 1, ...places[step] }),
    rankMs: (step) => ranks[step] ?? 0,
  });
  steps.add([...places.keys()]);
  return steps;
}

const device = {};

test('at most as many steps start on a device as it runs at a time, those with the longest path first', () => {
  const core = { device, parallel: 2 };
  const steps = readySteps([core, core, core, core], [1, 4, 3, 2]);
  expect(steps.take()).toEqual([1, 2]);
  expect(steps.take()).toEqual([]);
  expect([...steps.waiting]).toEqual([0, 3]);
  steps.end(2);
  expect(steps.take()).toEqual([3]);
});

test('a step that takes the whole device waits for those that take a part of it, and the other way round', () => {
  const steps = readySteps([
    { device, parallel: 1 },
    { device, parallel: 4 },
    { device, parallel: 4 },
  ]);
  expect(steps.take()).toEqual([0]);
  steps.end(0);
  expect(steps.take()).toEqual([1, 2]);
  steps.add([0]);
  steps.end(1);
  expect(steps.take()).toEqual([]);
  steps.end(2);
  expect(steps.take()).toEqual([0]);
});

test('steps of one model start together: they may ride in one batch', () => {
  const same = { model: 'same', device };
  expect(readySteps([same, { model: 'other', device }, same]).take()).toEqual([0, 2]);
});

test('steps on other devices, on unlimited ones and on unknown ones do not wait', () => {
  const places = [{ device }, { device: {} }, {}, { device: {}, parallel: Number.POSITIVE_INFINITY }];
  expect(readySteps(places).take()).toEqual([0, 1, 2, 3]);
});

test('equal paths start in the order of the configuration', () => {
  expect(readySteps([{ device }, { device }], [2, 2]).take()).toEqual([0]);
});
