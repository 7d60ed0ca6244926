import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { ROLLBACK_CAUSES } from '../../../src/gateway/ops/label-values.ts';
import { DEFAULT_COURSE, DEFAULT_LIMITS } from '../../../src/gateway/rollout/rollout-plan.ts';
import { formatRecord, parseRecord, type RolloutRecord } from '../../../src/gateway/rollout/rollout-record.ts';
import type { Stage } from '../../../src/gateway/rollout/stage.ts';
import { StateDirectory } from '../../../src/gateway/rollout/state-directory.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

function recordOf(model: string, stage: Stage = { kind: 'shadow' }): RolloutRecord {
  return {
    plan: { model, from: '1', to: '2', ...DEFAULT_COURSE, limits: DEFAULT_LIMITS, expectations: 'the defaults' },
    stage,
    events: [{ atMs: 1_000, text: 'begun' }],
    baselineP99Ms: undefined,
    configured: undefined,
    digests: undefined,
    inForce: true,
  };
}

/** The log lines. */
function notices(): string[] {
  const texts: string[] = [];
  onTestFinished(diagnostics.notice.subscribe(({ text }) => texts.push(text)));
  return texts;
}

describe('a record', () => {
  const stages: fc.Arbitrary<Stage> = fc.oneof(
    fc.constantFrom<Stage>({ kind: 'loading' }, { kind: 'shadow' }, { kind: 'promoted' }),
    fc.nat(3).map((step): Stage => ({ kind: 'canary', step })),
    fc
      .tuple(fc.constantFrom(...ROLLBACK_CAUSES), fc.string())
      .map(([cause, reason]): Stage => ({ kind: 'rolled_back', cause, reason })),
  );

  test('is read as it was written', () => {
    const records = fc.record({
      stage: stages,
      events: fc.array(fc.record({ atMs: fc.nat(), text: fc.string({ unit: 'grapheme' }) })),
      baselineP99Ms: fc.option(
        fc.double({ min: 0, max: 1e6, noNaN: true }).map((ms) => ms + 0),
        { nil: undefined },
      ),
      configured: fc.option(fc.string(), { nil: undefined }),
      digests: fc.option(fc.record({ from: fc.string(), to: fc.string() }), { nil: undefined }),
      inForce: fc.boolean(),
    });
    fc.assert(
      fc.property(records, (fields) => {
        const record = { ...recordOf('m'), ...fields };
        expect(parseRecord(formatRecord(record))).toEqual(record);
      }),
    );
  });

  test.each([
    ['no JSON', '{', /JSON/],
    ['another schema', formatRecord(recordOf('m')).replace('rollout/1', 'rollout/2'), /schema/],
    [
      'a step that the plan has not',
      formatRecord(recordOf('m', { kind: 'canary', step: 4 })),
      /a step that the plan has/,
    ],
    ['what nobody knows', formatRecord(recordOf('m')).replace('"inForce"', '"more": 1, "inForce"'), /more/],
  ])('is refused with %s', (_, text, problem) => {
    expect(() => parseRecord(text)).toThrow(problem);
  });
});

describe('the state directory', () => {
  test('is made with the first record, and holds the last one of each model', async () => {
    const directory = path.join(temporaryDirectory(), 'state');
    const state = new StateDirectory(directory);
    expect(await state.read()).toEqual([]);
    await state.write(recordOf('m'));
    await state.write(recordOf('m', { kind: 'promoted' }));
    await state.write(recordOf('other.model-1'));
    expect(fs.readdirSync(path.join(directory, 'rollouts')).sort()).toEqual(['m.json', 'other.model-1.json']);
    expect(await new StateDirectory(directory).read()).toEqual([
      recordOf('m', { kind: 'promoted' }),
      recordOf('other.model-1'),
    ]);
    await state.remove('m');
    expect(await new StateDirectory(directory).read()).toEqual([recordOf('other.model-1')]);
  });

  test('reports what it cannot read, leaves it as it is, and reads the rest', async () => {
    const directory = temporaryDirectory();
    const state = new StateDirectory(directory);
    await state.write(recordOf('good'));
    const file = path.join(directory, 'rollouts/bad.json');
    fs.writeFileSync(file, 'half of a rec');
    fs.writeFileSync(path.join(directory, 'rollouts/lost.json'), formatRecord(recordOf('found')));
    fs.writeFileSync(path.join(directory, 'rollouts/.good.123'), 'a draft of a server that was killed');
    const reported = notices();
    const anew = new StateDirectory(directory);
    expect(await anew.read()).toEqual([recordOf('good')]);
    expect(reported).toEqual([
      expect.stringContaining(file),
      expect.stringContaining('lost.json is no state of a rollout'),
    ]);
    await expect(anew.write(recordOf('bad'))).rejects.toThrow('it is not as this server left it');
    expect(fs.readFileSync(file, 'utf8')).toBe('half of a rec');
  });

  test('is written by only one server', async () => {
    const directory = temporaryDirectory();
    const [one, other] = [new StateDirectory(directory), new StateDirectory(directory)];
    await one.write(recordOf('m'));
    await expect(other.write(recordOf('m', { kind: 'promoted' }))).rejects.toThrow(
      /m\.json cannot be written: it is not as this server left it: .*; --state-directory DIR/,
    );
    await expect(other.remove('m')).rejects.toThrow('it is not as this server left it');
    expect(await new StateDirectory(directory).read()).toEqual([recordOf('m')]);
  });

  test.each(['/proc/nowhere', '/nosuch/state', '/dev/null'])('is refused where it cannot be: %s', async (directory) => {
    await expect(new StateDirectory(directory).write(recordOf('m'))).rejects.toThrow(/cannot be written: E/);
  });
});
