import { expect, test } from 'vitest';
import { checkCores, judgeCores } from '../../../../src/gateway/ops/diagnosis/machine.ts';

test.each([
  ['fewer cores than there are', judgeCores(8, 2), '8, limited to 2 by the control group'],
  ['as many cores as there are', judgeCores(8, 8), '8, limited to 8 by the control group'],
  ['no limit on cores', judgeCores(8, undefined), '8, without a limit'],
])('%s: named without a warning, because the default instances of models follow the limit', (_name, finding, text) => {
  expect(finding).toEqual({ level: 'ok', subject: 'cores', text });
});

test('this machine is read without a failure', () => {
  const { subject, level, text } = checkCores();
  expect(subject).toBe('cores');
  expect(level).not.toBe('fail');
  expect(text).not.toMatch(/NaN|undefined/);
});
