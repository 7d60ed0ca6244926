import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { arithmeticHere } from '../../../../src/gateway/repository/arithmetic.ts';
import { type LifecycleFixture, startLifecycle } from '../../../support/lifecycle-fixture.ts';
import { floatRows, npz } from '../../../support/npz.ts';
import { additionModel, batchMeanModel, fixedBatchModel, identityModel } from '../../../support/onnx-models.ts';
import type { ModelFiles } from '../../../support/repository.ts';

interface GoldenFiles {
  readonly inputs?: readonly (readonly number[])[];
  readonly outputs: readonly (readonly number[])[];
  readonly description?: object;
  /** The model's output. */
  readonly output?: string;
}

/** Loads version 1 of `m` with golden rows. */
async function loadWith(model: Uint8Array | ModelFiles, golden: GoldenFiles): Promise<LifecycleFixture> {
  const fixture = await startLifecycle({ m: model }, { initial: [] });
  const { inputs = [[1], [2], [3]], outputs, description = {}, output = 'output' } = golden;
  const directory = path.join(fixture.repository.directory, 'm/1/golden');
  fs.mkdirSync(directory);
  fs.writeFileSync(path.join(directory, 'golden.json'), JSON.stringify(description));
  const arrays = { 'input.input': floatRows(inputs), [`output.${output}`]: floatRows(outputs) };
  fs.writeFileSync(path.join(directory, 'golden.npz'), npz(arrays));
  await fixture.lifecycle.load('m').catch(() => {});
  return fixture;
}

/** The note on the only version. */
async function standing({ lifecycle, models }: LifecycleFixture): Promise<string> {
  const [entry] = await lifecycle.index();
  return entry?.state === 'READY' ? models.find('m', '').detail : `${entry?.state} ${entry?.reason}`;
}

describe('golden rows', () => {
  test('that the model gives let it serve as it is', async () => {
    const sha256 = createHash('sha256').update(additionModel(1)).digest('hex');
    const description = { sha256, tolerance: { maxAbs: 0, argmax: true }, made: 'by hand' };
    const fixture = await loadWith(additionModel(1), { outputs: [[2], [3], [4]], description });
    expect(await standing(fixture)).toContain('batching on (axis 0, max 64 rows');
  });

  test('that it misses keep it out, and name the row', async () => {
    const fixture = await loadWith(additionModel(1), { outputs: [[2], [3], [4.5]] });
    expect(await standing(fixture)).toBe("UNAVAILABLE golden row 2: output 'output' is off by 0.50, more than 0.00001");
  });

  test('may be missed by as much as is said', async () => {
    const fixture = await loadWith(additionModel(1), {
      outputs: [[2], [3], [4.5]],
      description: { tolerance: { maxAbs: 0.5 } },
    });
    expect(await standing(fixture)).toContain('batching on');
  });

  test.each([
    { outputs: [[0, 9, 0, 0]], expected: /batching on/ },
    {
      outputs: [[9, 0, 0, 0]],
      expected: /^UNAVAILABLE golden row 0: output 'output' has its largest element at another place$/,
    },
  ])('have the largest element at its place, where that is asked for: $outputs', async ({ outputs, expected }) => {
    const description = { tolerance: { maxAbs: 1_000, argmax: true } };
    const fixture = await loadWith(identityModel('FP32'), { inputs: [[1, 5, 2, 3]], outputs, description });
    expect(await standing(fixture)).toMatch(expected);
  });

  test.each([
    { instructionSet: 'x64 of another time', onnxRuntime: undefined, expected: /batching on/ },
    { instructionSet: undefined, onnxRuntime: '0.1.0', expected: /batching on/ },
    { instructionSet: undefined, onnxRuntime: undefined, expected: /^UNAVAILABLE golden row 2: .* off by 0\.50/ },
  ])('may be missed by more on other arithmetic: $instructionSet, $onnxRuntime', async ({ expected, ...other }) => {
    const here = arithmeticHere();
    const instructionSet = other.instructionSet ?? here.instructionSet;
    const onnxRuntime = other.onnxRuntime ?? here.onnxRuntime;
    const description = { tolerance: { maxAbs: 0 }, elsewhere: { maxAbs: 0.5 }, instructionSet, onnxRuntime };
    const fixture = await loadWith(additionModel(1), { outputs: [[2], [3], [4.5]], description });
    expect(await standing(fixture)).toMatch(expected);
  });

  test('that are right by themselves and wrong in a batch turn batching off', async () => {
    const config = { tensorgate: { row_independence: 'assume' } };
    const fixture = await loadWith(
      { versions: { 1: batchMeanModel() }, config },
      { inputs: [0, 1, 2].map((value) => Array(4).fill(value)), outputs: [0, 1, 2].map(() => [0, 0, 0, 0]) },
    );
    expect(await standing(fixture)).toContain(
      "batching off: golden row 0 is right by itself, but not in a batch: output 'output' is off by 1.0, more than 0.00001",
    );
  });

  test('are whole requests to a model that does not batch', async () => {
    const inputs = [Array(8).fill(1)];
    const fixture = await startLifecycle({ m: fixedBatchModel(2) }, { initial: [] });
    const directory = path.join(fixture.repository.directory, 'm/1/golden');
    fs.mkdirSync(directory);
    fs.writeFileSync(path.join(directory, 'golden.json'), '{}');
    const array = { ...floatRows(inputs), shape: [1, 2, 4] };
    fs.writeFileSync(path.join(directory, 'golden.npz'), npz({ 'input.input': array, 'output.output': array }, true));
    await fixture.lifecycle.load('m');
    expect(await standing(fixture)).toContain('batching off: input');
  });

  test('whose description is larger than any text are refused before it is read', async () => {
    const fixture = await startLifecycle({ m: fixedBatchModel(2) }, { initial: [] });
    const directory = path.join(fixture.repository.directory, 'm/1/golden');
    fs.mkdirSync(directory);
    // Where it were read, the text would be longer than a string can be.
    fs.writeFileSync(path.join(directory, 'golden.json'), '{}');
    fs.truncateSync(path.join(directory, 'golden.json'), 2 ** 30);
    await fixture.lifecycle.load('m').catch(() => {});
    expect(await standing(fixture)).toMatch(/golden\.json has 1073741824 bytes: at most 1048576 are read/);
  });

  test.each([
    {
      what: 'are of another model file',
      golden: { outputs: [[2], [3], [4]], description: { sha256: '0'.repeat(64) } },
      text: /golden\.json: sha256 does not match .*model\.onnx/,
    },
    {
      what: 'have an output that the model has not',
      golden: { outputs: [[2], [3], [4]], output: 'logits' },
      text: /^UNAVAILABLE the golden rows have an output 'logits', which the model has not$/,
    },
    {
      what: 'have another shape',
      golden: {
        inputs: [
          [1, 2],
          [1, 2],
        ],
        outputs: [[2], [3]],
      },
      text: /a golden row of input 'input' has the shape \[1,2\]: the model takes \[-1,1\]/,
    },
    {
      what: 'are not as many in each array',
      golden: { outputs: [[2], [3]] },
      text: /golden\.npz: expected as many rows in each array, 1 to 1000, got 3, 2/,
    },
    {
      what: 'have a tolerance that nobody knows',
      golden: { outputs: [[2], [3], [4]], description: { tolerance: { max: 1 } } },
      text: /golden\.json:1:\d+: tolerance\.max: /,
    },
  ])('that $what keep it out', async ({ golden, text }) => {
    expect(await standing(await loadWith(additionModel(1), golden))).toMatch(text);
  });
});
