import { describe, expect, test } from 'vitest';
import { CoreContention } from '../../../src/gateway/batch/core-contention.ts';
import { type Account, openAccount } from '../../../src/gateway/batch/device-account.ts';

/** A version that has joined a device, and asks for runs of `predictedMs`. */
function member(contention: CoreContention, predictedMs = 10, cores = 1): Account {
  const account = openAccount({ cores, background: false, wake: () => {} }, contention.cores);
  account.predictedMs = predictedMs;
  contention.accounts.add(account);
  contention.claim(account);
  return account;
}

/** Runs the version from one moment to another. */
function run(contention: CoreContention, account: Account, from: number, to: number): void {
  contention.reckon(from);
  contention.end(contention.begin(account, from), to);
}

describe('versions that contend for the cores of a device', () => {
  test('the version that received the least goes first', () => {
    const contention = new CoreContention(1);
    const served = member(contention);
    const hungry = member(contention);
    run(contention, served, 0, 10);
    contention.waiting.add(served);
    contention.waiting.add(hungry);
    expect(contention.inOrder(10)).toEqual([hungry, served]);
  });

  test('a version that was idle starts at the least tag of the others, not at zero', () => {
    const contention = new CoreContention(1);
    run(contention, member(contention), 0, 500);
    expect(member(contention).servedMs).toBe(500);
  });

  test('two runs that share one core receive half of it each', () => {
    const contention = new CoreContention(1);
    const [one, other] = [member(contention), member(contention)];
    contention.reckon(0);
    contention.begin(one, 0);
    contention.begin(other, 0);
    contention.reckon(10);
    expect([one.servedMs, other.servedMs]).toEqual([5, 5]);
  });

  test('a short run starts beside a long one, and a long run waits for the end of a short one', () => {
    const contention = new CoreContention(1);
    contention.begin(member(contention, 100), 0);
    expect(contention.mayStart(member(contention, 5), 0)).toBe(true);
    expect(contention.mayStart(member(contention, 500), 0)).toBe(false);
  });

  test('a version that waits for a run that hangs may share its core once that run is late enough', () => {
    const contention = new CoreContention(1);
    contention.begin(member(contention, 10), 0);
    const waiting = member(contention, 50);
    contention.waiting.add(waiting);
    expect(contention.mayStart(waiting, 0)).toBe(false);
    const at = contention.nextSharingMs(0);
    expect(at).toBeGreaterThan(10);
    expect(contention.mayStart(waiting, at + 1)).toBe(true);
  });

  test('an infinite device holds no version back', () => {
    const contention = new CoreContention(Number.POSITIVE_INFINITY);
    for (let runs = 0; runs < 8; runs++) contention.begin(member(contention), 0);
    const account = member(contention);
    expect([contention.mayStart(account, 0), contention.beside(account)]).toEqual([true, 0]);
  });
});
