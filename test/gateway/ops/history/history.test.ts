import { expect, onTestFinished, test } from 'vitest';
import { diagnostics } from '../../../../src/gateway/ops/diagnostics.ts';
import { History } from '../../../../src/gateway/ops/history/history.ts';
import { inferenceEnded, RESNET } from '../fake-events.ts';

function historyAt() {
  let nowMs = 1_000_000_000_000;
  const history = new History(() => nowMs);
  onTestFinished(() => history[Symbol.dispose]());
  return { history, pass: (ms: number) => (nowMs += ms) };
}

const END = { runner: 'resnet:3', models: [RESNET], cause: 'killed by SIGSEGV', isStopped: false } as const;

test('the end of a runner says its cause, what ran again, and when it was back, in whatever order that is published', () => {
  const { history, pass } = historyAt();
  diagnostics.requestsRepeated.publish({ model: RESNET, requests: 2 });
  diagnostics.runnerEnded.publish(END);
  diagnostics.requestsRepeated.publish({ model: RESNET, requests: 3 });
  pass(400);
  diagnostics.runnerStarted.publish({ runner: 'resnet:3', model: RESNET, outcome: 'ok', cause: undefined });
  expect(history.events).toMatchObject([
    { kind: 'runner_ended', cause: 'killed by SIGSEGV', repeated: 5, backAfterMs: 400 },
  ]);
});

test('what ran again long before, or of another model, is not counted to the end of a runner', () => {
  const { history, pass } = historyAt();
  diagnostics.requestsRepeated.publish({ model: RESNET, requests: 2 });
  diagnostics.requestsRepeated.publish({ model: { name: 'other', version: '1' }, requests: 2 });
  pass(60_000);
  diagnostics.runnerEnded.publish(END);
  expect(history.events).toMatchObject([{ repeated: 0, backAfterMs: undefined }]);
});

test('events are the newest first, and limited', () => {
  const { history, pass } = historyAt();
  for (let each = 0; each < 100; each++) {
    pass(1);
    diagnostics.breakerChanged.publish({ model: RESNET, state: 'open' });
  }
  expect(history.events.length).toBeLessThan(50);
  expect(history.events[0]?.atMs).toBe(1_000_000_000_100);
});

test('a version that someone unloads is no event, one that fails is', () => {
  const { history } = historyAt();
  diagnostics.modelChanged.publish({ model: RESNET, state: 'UNAVAILABLE', detail: 'unloaded', isIntended: true });
  expect(history.events).toEqual([]);
  diagnostics.modelChanged.publish({ model: RESNET, state: 'UNAVAILABLE', detail: 'no such file' });
  expect(history.events).toMatchObject([{ kind: 'unavailable', reason: 'no such file' }]);
});

test('a server with endless versions keeps those that were used last', () => {
  const { history, pass } = historyAt();
  const used = { name: 'used', version: '1' };
  for (let version = 1; version <= 1_100; version++) {
    pass(1);
    diagnostics.inferenceEnded.publish(inferenceEnded({ model: { name: 'm', version: String(version) } }));
    diagnostics.inferenceEnded.publish(inferenceEnded({ model: used }));
  }
  expect(history.find({ name: 'm', version: '1' })).toBeUndefined();
  expect(history.find({ name: 'm', version: '1100' })).toBeDefined();
  expect(history.find(used)?.figures.outcomes.get('none')).toBe(1_100);
});

test('nothing is recorded after its end', () => {
  const { history } = historyAt();
  history[Symbol.dispose]();
  diagnostics.inferenceEnded.publish(inferenceEnded());
  expect(history.find(RESNET)).toBeUndefined();
});
