import { expect, test } from 'vitest';
import {
  checkProviders,
  judgeProviders,
  type ProviderReport,
} from '../../../../src/gateway/ops/diagnosis/execution-providers.ts';
import type { Finding } from '../../../../src/gateway/ops/diagnosis/finding.ts';
import type { ProviderFiles } from '../../../../src/gateway/ops/diagnosis/provider-files.ts';
import type { ExecutionProvider } from '../../../../src/worker/protocol.ts';

const NOTHING: ProviderFiles = { missing: [], unresolved: [] };

function accepted(provider: ExecutionProvider): ProviderReport {
  return { provider, files: NOTHING, trial: { kind: 'accepted' } };
}

function refused(provider: ExecutionProvider, files = NOTHING): ProviderReport {
  return { provider, files, trial: { kind: 'refused', reason: 'Failed to load library /a/libonnxruntime_x.so' } };
}

function judge(
  reports: readonly ProviderReport[],
  executionProviders: ExecutionProvider[],
  strictExecutionProviders = false,
): Finding[] {
  return judgeProviders(reports, { executionProviders, strictExecutionProviders }, 'node /package/script/install.js');
}

function levels(findings: readonly Finding[]): string[] {
  return findings.map(({ subject, level }) => `${subject} ${level}`);
}

test('a provider outside of the preference list is not reported, whether it works or not', () => {
  expect(levels(judge([refused('cuda'), accepted('cpu')], ['cpu']))).toEqual(['cpu ok']);
  expect(levels(judge([accepted('cuda'), accepted('cpu')], ['cpu']))).toEqual(['cpu ok']);
});

test('one that is asked for, and has another to fall back to, is a warning that names the other', () => {
  const findings = judge([refused('cuda'), accepted('cpu')], ['cuda', 'cpu']);
  expect(levels(findings)).toEqual(['cuda warn', 'cpu ok']);
  expect(findings[0]?.text).toMatch(/^not available, cpu is used instead: /);
});

test.each([
  ['has none', ['cuda'], false, ['cuda fail']],
  ['may have none', ['cuda', 'cpu'], true, ['cuda fail', 'cpu ok']],
] as const)('one that is asked for, and %s to fall back to, is a failure', (_what, wanted, strict, expected) => {
  expect(levels(judge([refused('cuda'), accepted('cpu')], [...wanted], strict))).toEqual(expected);
});

test('the CPU has to work, asked for or not', () => {
  const findings = judge([accepted('cuda'), refused('cpu')], ['cuda']);
  expect(levels(findings)).toEqual(['cuda ok', 'cpu fail']);
  expect(findings[1]?.advice).toContain('glibc');
});

test('on a platform without the libraries, asking for them is reported', () => {
  expect(levels(judge([accepted('cpu')], ['cuda', 'cpu']))).toEqual(['cuda warn', 'cpu ok']);
  expect(levels(judge([accepted('cpu')], ['cuda']))).toEqual(['cuda fail']);
});

test('the paths of libraries are left out of the reason', () => {
  expect(judge([refused('cuda')], ['cuda'])[0]?.text).toContain('says: Failed to load library libonnxruntime_x.so');
});

test.each([
  [{ missing: ['libonnxruntime_providers_cuda.so'], unresolved: [] }, 'node /package/script/install.js'],
  [{ missing: [], unresolved: ['libcudart.so.13', 'libcuda.so.1'] }, 'LD_LIBRARY_PATH'],
  [{ missing: [], unresolved: ['libcuda.so.1'] }, '--gpus all'],
  [{ missing: [], unresolved: [] }, 'nvidia-smi'],
  [{ missing: [], unresolved: undefined }, 'nvidia-smi'],
])('where %j is absent, the advice is about that', (files, advice) => {
  const [finding] = judge([refused('cuda', files)], ['cuda']);
  expect(finding?.advice).toContain(advice);
  for (const name of [...files.missing, ...(files.unresolved ?? [])]) expect(finding?.text).toContain(name);
});

test('without ONNX Runtime, the failure says what to install', async () => {
  const settings = {
    executionProviders: [],
    strictExecutionProviders: false,
    mailboxDirectory: '',
    runnerStartTimeoutMs: 1,
  };
  const missing = (): never => {
    throw new Error('onnxruntime-node is not installed');
  };
  expect(await checkProviders(settings, {}, missing)).toEqual([
    {
      level: 'fail',
      subject: 'onnxruntime',
      text: 'onnxruntime-node is not installed',
      advice: expect.stringContaining('install onnxruntime-node with npm'),
    },
  ]);
});
