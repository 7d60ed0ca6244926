import { expect, test } from 'vitest';
import { checkCores, judgeCores, readCpuLimit } from '../../../src/gateway/diagnosis/machine.ts';
import { fileTree } from '../../support/file-tree.ts';

test.each([
  [
    'of a container, which sees its group as the root',
    { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '150000 100000\n' },
    1.5,
  ],
  [
    'of the tightest group on the way to the root',
    {
      'proc/self/cgroup': '0::/slice/service\n',
      'sys/fs/cgroup/slice/service/cpu.max': 'max 100000\n',
      'sys/fs/cgroup/slice/cpu.max': '200000 100000\n',
    },
    2,
  ],
  ['of none', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'max 100000\n' }, undefined],
  [
    'of version 1',
    {
      'proc/self/cgroup': '4:memory:/x\n3:cpu,cpuacct:/docker/abc\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '50000\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
    },
    0.5,
  ],
  [
    'of version 1 without one',
    {
      'proc/self/cgroup': '1:cpu:/\n0::/\n',
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    },
    undefined,
  ],
  ['of a system without control groups', {}, undefined],
])('the limit on cores is that %s', (_name, files, limit) => {
  expect(readCpuLimit(fileTree(files))).toBe(limit);
});

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
