import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { diagnostics } from '../../../../src/gateway/ops/diagnostics.ts';
import { failureOf, startLifecycle } from '../../../support/lifecycle-fixture.ts';
import { additionModel, writeModel } from '../../../support/onnx-models.ts';
import { processesOf } from '../../../support/process-tree.ts';
import { PATIENCE_MS } from '../../../support/runners.ts';

const PATIENCE = { timeout: PATIENCE_MS };
const NO_MODEL = Buffer.from('no model');

describe('a server that polls', () => {
  test('follows what appears, changes and goes, version by version', async () => {
    const fixture = await startLifecycle({ m: additionModel(1), n: additionModel(0) }, { mode: 'poll' });
    const { models, lines, ask } = fixture;
    const first = models.find('m', '1');
    const other = models.find('n', '1');
    fixture.repository.publish('m', 2, additionModel(2));
    fixture.repository.publish('fresh', 1, additionModel(9));
    await vi.waitUntil(
      async () => (await lines()).includes('m 2 READY') && (await lines()).includes('fresh 1 READY'),
      PATIENCE,
    );
    expect(await ask('m', 0)).toEqual({ version: '2', value: 2 });
    expect(models.find('m', '1')).toBe(first);
    fixture.repository.withdraw('m', 2);
    await vi.waitUntil(() => models.versionsOf('m').length === 1, PATIENCE);
    expect(models.find('m', '')).toBe(first);
    fixture.repository.publish('m', 1, additionModel(5));
    await vi.waitUntil(() => models.find('m', '') !== first, PATIENCE);
    expect(await ask('m', 0)).toEqual({ version: '1', value: 5 });
    fixture.repository.withdraw('m');
    await vi.waitUntil(async () => !(await lines()).some((line) => line.startsWith('m ')), PATIENCE);
    expect(await failureOf(ask('m', 0))).toMatchObject({ message: "Request for unknown model: 'm' is not found" });
    expect(models.find('n', '1')).toBe(other);
    await vi.waitUntil(() => processesOf(process.pid).length === 2, PATIENCE);
  });

  test('loads a file that is being written when it is complete, and not before', async () => {
    const fixture = await startLifecycle({ m: additionModel(1) }, { mode: 'poll' });
    const { models, lines, repository } = fixture;
    const failures: string[] = [];
    const unsubscribe = diagnostics.notice.subscribe(({ text }) => failures.push(text));
    const bytes = additionModel(2);
    const file = writeModel(repository.directory, 'm', 2, bytes.subarray(0, 0));
    for (let at = 0; at < bytes.length; at++) {
      fs.appendFileSync(file, bytes.subarray(at, at + 1));
      // Far more often than the repository is looked at.
      await new Promise((resolve) => setTimeout(resolve, 4));
      expect(models.versionsOf('m')).toHaveLength(1);
    }
    await vi.waitUntil(async () => (await lines()).includes('m 2 READY'), PATIENCE);
    unsubscribe();
    expect(failures).toEqual([]);
  });

  test('keeps what serves where the new does not load, does not try it again, and goes on looking', async () => {
    const fixture = await startLifecycle({ m: additionModel(1) }, { mode: 'poll' });
    const { lines, ask } = fixture;
    const loads: string[] = [];
    const unsubscribe = diagnostics.modelChanged.subscribe(({ model, state }) => {
      if (state === 'LOADING') loads.push(`${model.name} ${model.version}`);
    });
    fixture.repository.publish('m', 2, NO_MODEL);
    await vi.waitUntil(async () => (await lines()).some((line) => line.startsWith('m 2 UNAVAILABLE')), PATIENCE);
    fs.writeFileSync(path.join(fixture.repository.directory, 'm/config.yaml'), 'max_batch_size: [');
    await vi.waitUntil(async () => (await lines()).some((line) => /^m 1 READY .*config\.yaml/.test(line)), PATIENCE);
    expect(await ask('m', 0)).toEqual({ version: '1', value: 1 });
    fs.rmSync(path.join(fixture.repository.directory, 'm/config.yaml'));
    fixture.repository.publish('m', 3, additionModel(3));
    await vi.waitUntil(async () => (await lines()).includes('m 3 READY'), PATIENCE);
    expect(await ask('m', 0)).toEqual({ version: '3', value: 3 });
    unsubscribe();
    expect(loads).toEqual(['m 2', 'm 3']);
  });

  test('does not take a repository that cannot be read for an empty one', async () => {
    const fixture = await startLifecycle({ m: additionModel(1) }, { mode: 'poll' });
    const { directory } = fixture.repository;
    let notices = 0;
    const unsubscribe = diagnostics.notice.subscribe(() => notices++);
    fs.renameSync(directory, `${directory}-away`);
    await vi.waitUntil(() => notices >= 3, PATIENCE);
    expect(await fixture.ask('m', 0)).toEqual({ version: '1', value: 1 });
    fs.renameSync(`${directory}-away`, directory);
    fixture.repository.publish('m', 2, additionModel(2));
    await vi.waitUntil(async () => (await fixture.lines()).includes('m 2 READY'), PATIENCE);
    unsubscribe();
  });
});
