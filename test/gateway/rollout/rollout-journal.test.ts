import { expect, onTestFinished, test } from 'vitest';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { RolloutJournal } from '../../../src/gateway/rollout/rollout-journal.ts';
import { DEFAULT_COURSE } from '../../../src/gateway/rollout/rollout-plan.ts';
import { firstRecord, type RolloutRecord } from '../../../src/gateway/rollout/rollout-record.ts';

function recordOf(model: string): RolloutRecord {
  const limits = { minAgreement: 0.99, maxErrorRate: 0.01, maxP99Ratio: 1.5 };
  return firstRecord({ model, from: '1', to: '2', ...DEFAULT_COURSE, limits, expectations: '' }, true);
}

/** A state directory on a disk that may be full. */
class FakeState {
  isFull = false;
  readonly written = new Map<string, RolloutRecord>();

  read = async (): Promise<RolloutRecord[]> => [...this.written.values()];
  remove = async (model: string): Promise<void> => void this.written.delete(model);
  write = async (record: RolloutRecord): Promise<void> => {
    if (this.isFull) throw new Error('the disk is full');
    this.written.set(record.plan.model, record);
  };
}

test('a record that cannot be written is reported once and retried until it is written', async () => {
  const notices: string[] = [];
  onTestFinished(diagnostics.notice.subscribe(({ text }) => notices.push(text)));
  const state = new FakeState();
  const journal = new RolloutJournal(state);
  state.isFull = true;
  const [a, b] = [recordOf('a'), recordOf('b')];
  await journal.writeEventually(a);
  await journal.writeEventually(b);
  await journal.retry();
  expect(journal.hasUnwritten).toBe(true);
  expect(notices).toHaveLength(2);
  state.isFull = false;
  await journal.retry();
  expect(journal.hasUnwritten).toBe(false);
  expect(await journal.read()).toEqual([a, b]);
});

test('a later write, or a removal, replaces a record that waits for its retry', async () => {
  const state = new FakeState();
  const journal = new RolloutJournal(state);
  state.isFull = true;
  await journal.writeEventually(recordOf('a'));
  await journal.writeEventually(recordOf('b'));
  state.isFull = false;
  const later = { ...recordOf('a'), inForce: false };
  await journal.write(later);
  await journal.remove('b');
  await journal.retry();
  expect(await journal.read()).toEqual([later]);
});
