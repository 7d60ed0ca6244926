import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findRanges, makeCandidate, operatorsOf, sourceOf, unknownNodes } from '../../src/compare/candidates.ts';
import { type Comparison, compare } from '../../src/compare/comparison.ts';
import { Contender, type RunnerEnvironment } from '../../src/compare/contender.ts';
import { makeUpData } from '../../src/compare/made-up.ts';
import { REPORT } from '../../src/compare/report.ts';
import { findTarget } from '../../src/compare/target.ts';
import { readOnnxModel } from '../../src/compress/onnx/model-file.ts';
import { dynamicallyQuantizedModel, mlpModel, writeModel } from '../support/onnx-models.ts';
import { processesOf } from '../support/process-tree.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

async function openBase(model = mlpModel()) {
  const repository = temporaryDirectory();
  const file = writeModel(repository, 'm', 1, model);
  const target = await findTarget(repository, 'm', undefined);
  const environment: RunnerEnvironment = { env: process.env, mailboxDirectory: temporaryDirectory() };
  const base = await Contender.open(await sourceOf('base', 'base', file), target, environment);
  onTestFinished(() => base[Symbol.asyncDispose]());
  return { base, target, environment, onnx: await readOnnxModel(file) };
}

function comparisonOf(
  parts: Pick<Comparison, 'target' | 'contenders' | 'data' | 'limits'>,
  environment: RunnerEnvironment,
): Comparison {
  return {
    ...parts,
    classes: undefined,
    dataKind: 'made-up',
    calibration: undefined,
    notMade: [],
    operatorsOf: (contender) => operatorsOf(contender, environment),
    tensorgate: '0',
    command: 'a test',
  };
}

describe('a comparison', () => {
  test('between a base and its int8 version is a report that its schema accepts', async () => {
    const { base, target, environment, onnx } = await openBase();
    const data = await makeUpData(base, '--calibrate');
    const calibrated: number[] = [];
    const signal = new AbortController().signal;
    const progress = (done: number): void => void calibrated.push(done);
    const ranges = await findRanges(onnx, base, data, { ...environment, signal, progress });
    expect(calibrated.at(-1)).toBe(data.count);
    const work = temporaryDirectory();
    const source = await makeCandidate(onnx, { kind: 'int8' }, { ranges, keep: new Set() }, work);
    expect(source.files.map((file) => path.dirname(file))).toEqual([path.join(work, 'int8')]);
    await using candidate = await Contender.open(source, target, environment);
    const phases = new Set<string>();
    const contenders = [base, candidate];
    const comparison = comparisonOf({ target, contenders, data, limits: { minAgreement: 1.1 } }, environment);
    const report = await compare(comparison, signal, (phase) => phases.add(phase));
    expect(REPORT.parse(report)).toEqual(report);
    expect(report).toMatchObject({ model: { name: 'm', version: '1' }, data: { rows: data.count, kind: 'made-up' } });
    expect(report.base).toMatchObject({ kind: 'base', passed: true, quality: { agreement: 1, maxAbs: 0 } });
    const [int8] = report.candidates;
    expect(int8).toMatchObject({ name: 'int8', kind: 'technique', passed: false });
    expect(int8?.gates.find(({ gate }) => gate === 'min-agreement')?.passed).toBe(false);
    expect(int8?.sha256).not.toBe(report.base.sha256);
    expect(int8?.operators).not.toEqual(report.base.operators);
    expect(phases.size).toBe(4);
  });

  test('with a model that is quantized dynamically says why its rows depend on each other, and what to do', async () => {
    const { base, target, environment } = await openBase(dynamicallyQuantizedModel());
    const data = await makeUpData(base, '--calibrate');
    const comparison = comparisonOf({ target, contenders: [base], data, limits: {} }, environment);
    const report = await compare(comparison, new AbortController().signal, () => {});
    expect(report.base.rowIndependence).toMatchObject({
      verdict: 'dependent',
      reason: expect.stringMatching(
        /; it is quantized dynamically, .* float32, and quantize that: npx tensorgate compress --to int8$/,
      ),
    });
  });

  test('that is interrupted ends with the reason of its signal', async () => {
    const { base, target, environment } = await openBase();
    const abort = new AbortController();
    const data = await makeUpData(base, '--calibrate');
    const comparison = comparisonOf({ target, contenders: [base], data, limits: {} }, environment);
    const comparing = compare(comparison, abort.signal, (phase) => {
      if (phase === 'measuring speed') abort.abort(new Error('interrupted'));
    });
    await expect(comparing).rejects.toThrow('interrupted');
  });
});

test('a contender that cannot be opened leaves no process behind', async () => {
  const repository = temporaryDirectory();
  const file = writeModel(repository, 'm', 1, mlpModel());
  const target = await findTarget(repository, 'm', undefined);
  const source = await sourceOf('base', 'base', file);
  fs.writeFileSync(file, 'no model');
  const before = processesOf(process.pid);
  await expect(
    Contender.open(source, target, { env: process.env, mailboxDirectory: temporaryDirectory() }),
  ).rejects.toThrow();
  expect(processesOf(process.pid)).toEqual(before);
});

test('nodes to keep that the model does not have are named', async () => {
  const { onnx } = await openBase();
  const [node] = onnx.graph?.node ?? [];
  expect(unknownNodes(onnx, [node?.name || (node?.output[0] ?? ''), 'nope'])).toContain('nope');
});
