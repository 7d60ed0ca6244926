import { describe, expect, test } from 'vitest';
import { DeadlineWheel, Expiring } from '../../../../src/gateway/accept/grpc/deadline-wheel.ts';

class Entry extends Expiring {
  readonly deadline: number;
  readonly #onExpire: (entry: Entry) => void;

  constructor(inMs: number, onExpire: (entry: Entry) => void) {
    super();
    this.deadline = performance.now() + inMs;
    this.#onExpire = onExpire;
  }

  override expire(): void {
    this.#onExpire(this);
  }
}

describe('the wheel', () => {
  test('expires each once, never early, in the order of their deadlines up to two ticks', async () => {
    const wheel = new DeadlineWheel();
    const expired: Entry[] = [];
    const early: number[] = [];
    const done = Promise.withResolvers<void>();
    for (let index = 0; index < 1_000; index++) {
      const entry = new Entry((index * 7) % 300, (one) => {
        expired.push(one);
        if (performance.now() < one.deadline) early.push(one.deadline);
        if (expired.length === 1_000) done.resolve();
      });
      wheel.add(entry);
    }
    expect(wheel.size).toBe(1_000);
    await done.promise;
    expect(new Set(expired).size).toBe(1_000);
    expect(early).toEqual([]);
    expect(wheel.size).toBe(0);
  });

  test('leaves those that are removed, also by one that expires in the same tick', async () => {
    const wheel = new DeadlineWheel();
    const expired: string[] = [];
    const last = Promise.withResolvers<void>();
    const second: Entry = new Entry(20, () => {
      expired.push('second');
      wheel.remove(first);
    });
    const first: Entry = new Entry(20, () => {
      expired.push('first');
      wheel.remove(second);
    });
    const removed = new Entry(5, () => expired.push('removed'));
    for (const entry of [removed, first, second, new Entry(60, () => last.resolve())]) wheel.add(entry);
    wheel.remove(removed);
    wheel.remove(removed);
    await last.promise;
    expect(expired).toHaveLength(1);
    expect(['first', 'second']).toContain(expired[0]);
  });

  test('keeps a deadline of many revolutions in its slot, and takes none that never comes', async () => {
    const wheel = new DeadlineWheel();
    const far = new Entry(60 * 60_000, () => expect.unreachable());
    wheel.add(far);
    wheel.add(new Entry(Number.POSITIVE_INFINITY, () => expect.unreachable()));
    expect(wheel.size).toBe(1);
    const near = Promise.withResolvers<void>();
    // The slot of the far one comes round in between, or not: it must not matter.
    wheel.add(new Entry(30, () => near.resolve()));
    await near.promise;
    expect(wheel.size).toBe(1);
    wheel.remove(far);
    expect(wheel.size).toBe(0);
  });
});
