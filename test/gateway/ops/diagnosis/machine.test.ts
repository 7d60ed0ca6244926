import { expect, test } from 'vitest';
import { checkCores, judgeCores } from '../../../../src/gateway/ops/diagnosis/machine.ts';

test.each([
  ['more instances than cores are lent', judgeCores(8, 2), 'warn', /instance_group/],
  ['as many cores as there are', judgeCores(8, 8), 'ok', undefined],
  ['no limit on cores', judgeCores(8, undefined), 'ok', undefined],
])('%s', (_name, finding, level, advice) => {
  expect(finding.level).toBe(level);
  if (advice === undefined) expect(finding.advice).toBeUndefined();
  else expect(finding.advice).toMatch(advice);
});

test('this machine is read without a failure', () => {
  const { subject, level, text } = checkCores();
  expect(subject).toBe('cores');
  expect(level).not.toBe('fail');
  expect(text).not.toMatch(/NaN|undefined/);
});
