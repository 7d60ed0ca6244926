import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ModelTable } from '../../../src/gateway/models/model-table.ts';
import { diagnostics, type RolloutChanged } from '../../../src/gateway/ops/diagnostics.ts';
import type { RolloutRequest } from '../../../src/gateway/rollout/rollout-request.ts';
import { Rollouts } from '../../../src/gateway/rollout/rollouts.ts';
import { StateDirectory } from '../../../src/gateway/rollout/state-directory.ts';
import { FakeCall } from '../../support/fake-call.ts';
import { FakeServable } from '../../support/fake-servable.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const REQUEST: RolloutRequest = {
  model: 'm',
  version: '2',
  course: { shadowShare: 1, comparisons: 2, steps: [50, 100], holdMs: 0, requests: 1 },
  limits: {},
};

/** A version without instances, with files of its own. */
function versionOf(number: string, directory: string): FakeServable {
  const file = path.join(directory, number, 'model.onnx');
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, number);
  return Object.assign(new FakeServable('m', { batching: { kind: 'off' } } as never, number), { modelPaths: [file] });
}

interface Fixture {
  readonly rollouts: Rollouts;
  readonly models: ModelTable;
  readonly state: string;
  /** Its events. */
  readonly changes: RolloutChanged[];
  /** Where a request goes that names no version. */
  answering(): string;
  copies(count: number, rowsAgreeing: number): void;
  requests(version: string, count: number): void;
}

async function start(state = path.join(temporaryDirectory(), 'state')): Promise<Fixture> {
  const directory = temporaryDirectory();
  const models = new ModelTable(() => 0.999);
  for (const number of ['1', '2']) models.add(versionOf(number, directory));
  models.override('m', { split: new Map([['1', 1]]), shadow: undefined });
  const loader = { loadable: () => Promise.reject(new Error('not asked')), loadNew: () => Promise.resolve() };
  const rollouts = new Rollouts(models, loader, new StateDirectory(state), { onDemand: false, tickMs: 5 });
  const changes: RolloutChanged[] = [];
  const unsubscribe = diagnostics.rolloutChanged.subscribe((event) => changes.push(event));
  onTestFinished(() => {
    rollouts.end();
    unsubscribe();
  });
  const copied = {
    kind: 'compared',
    result: 'different',
    absolute: 1,
    relative: 1,
    primaryMs: 1,
    shadowMs: 1,
  } as const;
  return {
    rollouts,
    models,
    state,
    changes,
    answering: () => models.find('m', '', new FakeCall()).ref.version,
    copies: (count, rowsAgreeing) => {
      const outcome = { ...copied, rowsAgreeing, rowsDisagreeing: 1 - rowsAgreeing };
      for (let index = 0; index < count; index++) {
        diagnostics.shadowEnded.publish({ model: 'm', primary: '1', shadow: '2', outcome });
      }
    },
    requests: (version, count) => {
      const ended = { requestId: '', rows: 1, requestBytes: 0, responseBytes: 0, queueMs: 1, batchRows: 1 } as const;
      for (let index = 0; index < count; index++) {
        diagnostics.inferenceEnded.publish({
          ...ended,
          call: new FakeCall(),
          model: { name: 'm', version },
          status: 'OK',
          reason: undefined,
          durationMs: 2,
        });
      }
    },
  };
}

async function reach({ rollouts }: Fixture, kind: string, percentStep?: number): Promise<void> {
  await until(() => {
    const stage = rollouts.status('m')[0]?.record.stage;
    return (
      stage?.kind === kind && (percentStep === undefined || (stage.kind === 'canary' && stage.step === percentStep))
    );
  });
}

/** For a busy machine. */
function until(condition: () => boolean | undefined | Promise<boolean>): Promise<unknown> {
  return vi.waitUntil(condition, { timeout: 30_000, interval: 5 });
}

/** Makes the state unwritable, also for the super-user, until the returned function is called. */
function block(state: string): () => void {
  const directory = path.join(state, 'rollouts');
  fs.renameSync(directory, `${directory}.away`);
  fs.writeFileSync(directory, 'a file where a directory should be');
  return () => {
    fs.rmSync(directory);
    fs.renameSync(`${directory}.away`, directory);
  };
}

describe('the shell', () => {
  test('takes one step after the other, spreads requests, writes it down, and reports it', async () => {
    const fixture = await start();
    await fixture.rollouts.start(REQUEST);
    await reach(fixture, 'shadow');
    expect(fixture.models.trafficOf('m')?.plan.shadow).toEqual({ version: '2', share: 1 });
    fixture.copies(2, 1);
    await reach(fixture, 'canary', 0);
    expect(fixture.models.trafficOf('m')?.plan.split).toEqual(
      new Map([
        ['1', 50],
        ['2', 50],
      ]),
    );
    fixture.requests('2', 1);
    await reach(fixture, 'canary', 1);
    expect(fixture.answering()).toBe('2');
    fixture.requests('2', 1);
    await reach(fixture, 'promoted');
    expect(fixture.changes.map(({ stage, percent }) => [stage, percent])).toEqual([
      ['loading', 0],
      ['shadow', 0],
      ['canary', 50],
      ['canary', 100],
      ['promoted', 100],
    ]);
    const [record] = await new StateDirectory(fixture.state).read();
    expect(record).toMatchObject({ stage: { kind: 'promoted' }, inForce: true });
    expect(record?.digests?.from).not.toBe(record?.digests?.to);
  });

  test('takes no step that it cannot write down, and goes on when it can', async () => {
    const fixture = await start();
    await fixture.rollouts.start(REQUEST);
    await reach(fixture, 'shadow');
    const unblock = block(fixture.state);
    fixture.copies(2, 1);
    await until(() => fixture.rollouts.status('m')[0]?.detail.startsWith('canary at 50 % is not begun: '));
    expect(fixture.rollouts.status('m')[0]?.record.stage.kind).toBe('shadow');
    expect(fixture.answering()).toBe('1');
    unblock();
    await reach(fixture, 'canary', 0);
  });

  test('rolls back at once, also where it cannot write it down, and writes it when it can', async () => {
    const fixture = await start();
    await fixture.rollouts.start(REQUEST);
    await reach(fixture, 'shadow');
    fixture.copies(2, 1);
    await reach(fixture, 'canary', 0);
    fixture.requests('2', 1);
    await reach(fixture, 'canary', 1);
    expect(fixture.answering()).toBe('2');
    const unblock = block(fixture.state);
    fixture.copies(50, 0);
    await reach(fixture, 'rolled_back');
    expect(fixture.answering()).toBe('1');
    expect(fixture.changes.at(-1)).toMatchObject({ stage: 'rolled_back', cause: 'disagreement', percent: 0 });
    unblock();
    await until(async () => (await new StateDirectory(fixture.state).read())[0]?.stage.kind === 'rolled_back');
  });

  test('counts again when a version was loaded again, and ends where its files are others', async () => {
    const fixture = await start();
    await fixture.rollouts.start(REQUEST);
    await reach(fixture, 'shadow');
    fixture.copies(1, 1);
    const [one, two] = fixture.models.versionsOf('m');
    if (one === undefined || two === undefined) throw new Error('there are two');
    const again = Object.assign(new FakeServable('m', {} as never, '2'), { modelPaths: two.modelPaths });
    fixture.models.serve('m', [one, again]);
    // Asking for the status before the rollout decides does not take the change from it.
    fixture.rollouts.status('m');
    await until(() => fixture.rollouts.status('m')[0]?.evidence?.copies.compared === 0);
    await until(() => fixture.rollouts.status('m')[0]?.detail.startsWith('0 of 2 comparisons'));
    fixture.models.serve('m', [one, versionOf('2', temporaryDirectory())]);
    await until(() => fixture.rollouts.status('m')[0]?.detail.startsWith('0 of 2 comparisons'));
    const other = versionOf('2', temporaryDirectory());
    fs.writeFileSync(other.modelPaths[0] ?? '', 'another model');
    fixture.models.serve('m', [one, other]);
    await reach(fixture, 'rolled_back');
    expect(fixture.rollouts.status('m')[0]?.record.stage).toMatchObject({ cause: 'changed' });
  });

  test('waits while the model is not loaded, and ends where one version is gone', async () => {
    const fixture = await start();
    await fixture.rollouts.start(REQUEST);
    await reach(fixture, 'shadow');
    const versions = fixture.models.versionsOf('m');
    fixture.models.serve('m', []);
    await until(() => fixture.rollouts.status('m')[0]?.detail === 'the model is not loaded');
    fixture.models.serve('m', versions);
    fixture.copies(2, 1);
    fixture.models.serve('m', versions.slice(0, 1));
    await reach(fixture, 'rolled_back');
    expect(fixture.rollouts.status('m')[0]?.detail).toBe('rolled back (not_ready): version 2 is gone');
  });

  test('goes on where the process of the new version was stopped for requests behind a run without a caller', async () => {
    const fixture = await start();
    await fixture.rollouts.start(REQUEST);
    await reach(fixture, 'shadow');
    const ended = { runner: 'm:2', models: [{ name: 'm', version: '2' }], cause: 'others wait' };
    diagnostics.runnerEnded.publish({ ...ended, isStopped: true });
    fixture.copies(2, 1);
    await reach(fixture, 'canary', 0);
    diagnostics.runnerEnded.publish({ ...ended, isStopped: false });
    await reach(fixture, 'rolled_back');
    expect(fixture.rollouts.status('m')[0]?.record.stage).toMatchObject({ cause: 'crashed' });
  });

  test('changes nothing more when the server ends', async () => {
    const fixture = await start();
    await fixture.rollouts.start(REQUEST);
    await reach(fixture, 'shadow');
    fixture.rollouts.end();
    fixture.copies(2, 1);
    await expect(fixture.rollouts.start({ ...REQUEST, model: 'other' })).rejects.toMatchObject({ reason: 'draining' });
    await expect(fixture.rollouts.abort('m')).rejects.toMatchObject({ reason: 'draining' });
    expect((await new StateDirectory(fixture.state).read())[0]?.stage.kind).toBe('shadow');
  });
});
