import { expect, test } from 'vitest';
import { boundBySize, instanceDefaults } from '../../../src/gateway/models/instance-defaults.ts';
import { MODEL_CONFIG } from '../../../src/gateway/repository/config/model-config.ts';
import { writeLargeModel } from '../../support/large-model.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const MiB = 2 ** 20;

test.each([
  { inline: 1 * MiB, count: 4, threads: 1 },
  { inline: 256 * MiB, count: 4, threads: 1 },
  { inline: 300 * MiB, count: 3, threads: 1 },
  { inline: 512 * MiB, count: 2, threads: 2 },
  { inline: 600 * MiB, count: 1, threads: 4 },
  { inline: 8_000 * MiB, count: 1, threads: 4 },
])(
  'a model of $inline bytes has $count default instances of $threads threads on a large machine',
  ({ inline, ...expected }) => {
    expect(boundBySize(4, { inline, external: 0 }, false)).toMatchObject(expected);
  },
);

test('external weights count unless instances share them', () => {
  const weights = { inline: MiB, external: 1_500 * MiB };
  expect(boundBySize(4, weights, false)).toEqual({
    count: 1,
    threads: 4,
    reason:
      '1 instance of 4 threads instead of 4, because each keeps its own copy of 1501 MiB of weights; instance_group sets another number, and parameters session.disable_prepacking: "1" lets instances share the weights (docs/models.md#large-models)',
  });
  expect(boundBySize(4, weights, true)).toEqual({ count: 4, threads: 1 });
});

test.each([
  { what: 'without instance_group', config: {}, expected: { count: 1, threads: 4 } },
  { what: 'with a group on the CPU', config: { instance_group: [{ kind: 'KIND_CPU' }] }, expected: { count: 1 } },
  {
    what: 'where instances share the weights',
    config: { parameters: { 'session.disable_prepacking': '1' } },
    expected: { count: 4, threads: 1 },
  },
  { what: 'with a number', config: { instance_group: [{ count: 3 }] }, expected: { count: 4, threads: 1 } },
])('the size of the files decides $what', async ({ config, expected }) => {
  const repository = temporaryDirectory();
  writeLargeModel(repository, 'm', 1_500 * MiB);
  const defaults = await instanceDefaults(MODEL_CONFIG.parse(config), `${repository}/m/1/model.onnx`, 8);
  expect(defaults).toMatchObject(expected);
});

test('a file that is not there decides nothing', async () => {
  expect(await instanceDefaults(MODEL_CONFIG.parse({}), '/nowhere/model.onnx', 8)).toEqual({ count: 4, threads: 1 });
});
