import { expect, onTestFinished, test } from 'vitest';
import { EventStream, MAX_WATCHERS } from '../../../../src/gateway/accept/page/event-stream.ts';
import type { PageApi, ServerUpdate } from '../../../../src/gateway/accept/page/snapshot.ts';

function stream() {
  let updates = 0;
  const asked: (() => void)[] = [];
  const api: Pick<PageApi, 'update'> = {
    update: async () => {
      updates++;
      for (const wake of asked.splice(0)) wake();
      return { revision: updates } as ServerUpdate;
    },
  };
  const events = new EventStream(api as PageApi, 1);
  onTestFinished(() => events.end());
  return {
    events,
    get updates() {
      return updates;
    },
    /** Resolves when an update has been made so many times more. */
    async pass(times: number): Promise<void> {
      for (let each = 0; each < times; each++) await new Promise<void>((resolve) => asked.push(resolve));
    },
  };
}

async function next(watcher: AsyncIterator<Uint8Array>): Promise<string | undefined> {
  const { done, value } = await watcher.next();
  return done === true ? undefined : Buffer.from(value).toString();
}

test('an update is made once for all watchers', async () => {
  const { events } = stream();
  const [a, b] = [events.open(), events.open()].map((each) => each![Symbol.asyncIterator]());
  const [first, second] = await Promise.all([next(a!), next(b!)]);
  expect(first).toBe('event: update\ndata: {"revision":1}\n\n');
  expect(second).toBe(first);
});

test('nothing is made without a watcher', async () => {
  const each = stream();
  const watcher = each.events.open()![Symbol.asyncIterator]();
  await next(watcher);
  await watcher.return?.();
  const before = each.updates;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(each.updates).toBe(before);
  expect(each.events.watchers).toBe(0);
});

test('one that does not take its event gets "stale" instead of the next, and after several it is dropped', async () => {
  const { events, pass } = stream();
  const slow = events.open()![Symbol.asyncIterator]();
  const fast = events.open()![Symbol.asyncIterator]();
  await pass(3);
  expect(await next(slow)).toContain('event: stale');
  const reading = (async () => {
    while ((await next(fast)) !== undefined);
  })();
  await pass(10);
  expect(events.watchers).toBe(1);
  expect(await next(slow)).toBeUndefined();
  events.end();
  await reading;
});

test('so many watch, and no more', () => {
  const { events } = stream();
  for (let each = 0; each < MAX_WATCHERS; each++) expect(events.open()).toBeDefined();
  expect(events.open()).toBeUndefined();
});

test('the end of the server ends the streams, and opens no other', async () => {
  const { events } = stream();
  const watcher = events.open()![Symbol.asyncIterator]();
  const waiting = next(watcher);
  events.end();
  expect(await waiting).toBeUndefined();
  expect(events.open()).toBeUndefined();
});
