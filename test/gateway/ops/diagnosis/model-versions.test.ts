import fs from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { PlanDefaults } from '../../../../src/gateway/models/model-plan.ts';
import type { Finding, InstancePlacement } from '../../../../src/gateway/ops/diagnosis/finding.ts';
import {
  checkModels,
  describeInstances,
  describeRefusals,
} from '../../../../src/gateway/ops/diagnosis/model-versions.ts';
import { mlpModel } from '../../../support/onnx-models.ts';
import { patientDefaults } from '../../../support/plan-defaults.ts';
import { type ModelFiles, Repository } from '../../../support/repository.ts';

/** The findings in a repository. Also checks that no mailbox is left. */
async function check(
  models: Readonly<Record<string, Uint8Array | ModelFiles>>,
  fields: Partial<PlanDefaults> = {},
): Promise<Finding[]> {
  const repository = new Repository(models);
  onTestFinished(() => repository[Symbol.dispose]());
  const defaults = patientDefaults({ cores: 2, ...fields });
  const findings = await collect(checkModels(repository.directory, defaults, process.env));
  expect(fs.readdirSync(defaults.mailboxDirectory)).toEqual([]);
  return findings;
}

async function collect(findings: AsyncIterable<Finding>): Promise<Finding[]> {
  const collected: Finding[] = [];
  for await (const finding of findings) collected.push(finding);
  return collected;
}

test('each version is loaded, with as many instances as its configuration wants', async () => {
  const config = { instance_group: [{ count: 2, kind: 'KIND_CPU' }] };
  const findings = await check({ b: mlpModel(), a: { versions: { 1: mlpModel(), 3: mlpModel() }, config } });
  const onCpu = { provider: 'cpu', deviceId: undefined, refusals: [] };
  expect(findings).toEqual([
    { level: 'ok', subject: 'model a version 1', text: '2 instances on cpu', instances: [onCpu, onCpu] },
    { level: 'ok', subject: 'model a version 3', text: '2 instances on cpu', instances: [onCpu, onCpu] },
    { level: 'ok', subject: 'model b version 1', text: '1 instance on cpu', instances: [onCpu] },
  ]);
});

test('a model that cannot be loaded fails with its name and its reason, and the others are tried', async () => {
  const findings = await check({
    bytes: Buffer.from('no model'),
    config: { versions: { 1: mlpModel() }, config: { max_batch: 4 } },
    dims: { versions: { 1: mlpModel() }, config: { input: [{ name: 'nosuch' }] } },
    good: mlpModel(),
  });
  expect(findings.map(({ subject, level }) => `${subject}: ${level}`)).toEqual([
    'model bytes version 1: fail',
    'model config: fail',
    'model dims version 1: fail',
    'model good version 1: ok',
  ]);
  expect(findings[0]?.text).toContain('is a text file');
  expect(findings[1]?.text).toContain('max_batch');
  expect(findings[2]?.text).toContain("input 'nosuch' is not in the model");
});

test('an empty repository is a warning, and one that is not there a failure', async () => {
  expect((await check({})).map(({ level }) => level)).toEqual(['warn']);
  const findings = await collect(checkModels('/nosuch', patientDefaults(), process.env));
  expect(findings).toEqual([
    { level: 'fail', subject: 'model repository', text: expect.stringContaining("'/nosuch' does not exist") },
  ]);
});

const hasGpu = fs.existsSync('/proc/driver/nvidia/version');
if (hasGpu) console.warn('SKIPPED: this machine has a GPU, so that its absence cannot be tested');

describe.skipIf(hasGpu)('without a GPU', () => {
  test('a model that prefers one is a warning, with the reason', async () => {
    const [finding] = await check({ m: mlpModel() }, { executionProviders: ['cuda', 'cpu'] });
    expect(finding).toMatchObject({
      level: 'warn',
      text: expect.stringMatching(/^1 instance on cpu; cuda is not used: .*Failed to load/),
      instances: [{ provider: 'cpu', refusals: [{ provider: 'cuda' }] }],
    });
  });

  test('a model that insists on one fails', async () => {
    const config = { tensorgate: { execution_providers: ['cuda', 'cpu'], strict_execution_providers: true } };
    const [finding] = await check({ m: { versions: { 1: mlpModel() }, config } });
    expect(finding).toMatchObject({ level: 'fail', text: expect.stringContaining('strict_execution_providers') });
  });
});

test('instances are counted by where they run, and refusals are reported once', () => {
  const cuda = (deviceId: number): InstancePlacement => ({
    provider: 'cuda',
    deviceId,
    refusals: [{ provider: 'tensorrt', reason: 'no engine' }],
  });
  const cpu: InstancePlacement = { provider: 'cpu', deviceId: undefined, refusals: [] };
  const instances = [cuda(0), cuda(1), cuda(1), cpu];
  expect(describeInstances(instances)).toBe('1 instance on cuda:0, 2 instances on cuda:1, 1 instance on cpu');
  expect(describeRefusals(instances)).toBe('tensorrt is not used: no engine');
});
