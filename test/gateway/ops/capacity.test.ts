import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Capacity, fitSettings } from '../../../src/gateway/ops/capacity.ts';
import {
  memoryLimit,
  readCapacity,
  readCpuLimit,
  readMemoryLimit,
  readOpenFileLimit,
  usableCores,
} from '../../../src/gateway/ops/machine-capacity.ts';
import type { Settings } from '../../../src/gateway/ops/settings.ts';
import { loadSettings } from '../../../src/gateway/ops/settings-loading.ts';
import { fileTree } from '../../support/file-tree.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

const LARGE: Capacity = {
  memoryBytes: 64 * GiB,
  openFiles: Number.POSITIVE_INFINITY,
  mailboxBytes: 32 * GiB,
  versions: 4,
  instances: 4,
};

function fitted(flags: Readonly<Record<string, unknown>>, capacity: Partial<Capacity>) {
  const asked = loadSettings({ flags: { modelRepository: '/models', ...flags }, env: {}, cwd: '/nowhere' });
  const { settings, findings } = fitSettings(asked, new Set(Object.keys(flags)), { ...LARGE, ...capacity });
  const advice = findings.flatMap((finding) => finding.advice ?? []);
  return { asked, settings, findings, advice };
}

/** The numbers that follow from a machine. */
function numbersOf(settings: Settings) {
  return {
    inFlight: settings.maxInFlightBytes / MiB,
    incoming: [settings.http2MaxIncomingBytes / MiB, settings.http2MaxIncomingBytesInAll / MiB].map(Math.round),
    unread: [settings.http2MaxUnreadBytes / MiB, settings.http2MaxUnreadBytesInAll / MiB].map(Math.round),
    unreadRest: [settings.httpMaxUnreadBytes / MiB, settings.httpMaxUnreadBytesInAll / MiB].map(Math.round),
    connections: [settings.http2MaxConnections, settings.http2MaxConnectionsPerAddress],
    http: [settings.httpMaxConnections, settings.httpMaxRequests, settings.httpMaxRequestsPerAddress],
  };
}

describe('settings that are not given', () => {
  test('are their defaults where there is room for them', () => {
    const { asked, settings, advice } = fitted({}, {});
    expect(settings).toEqual(asked);
    expect(advice).toEqual([]);
  });

  test.each([
    [
      'a pod of 4 GiB',
      { memoryBytes: 4 * GiB },
      { inFlight: 409.6, incoming: [205, 410], unread: [205, 410], unreadRest: [205, 410] },
    ],
    [
      'the shipped pod of 2 GiB',
      { memoryBytes: 2 * GiB, mailboxBytes: 512 * MiB },
      { inFlight: 204.8, incoming: [102, 205], unread: [102, 205], unreadRest: [102, 205] },
    ],
    [
      '1,024 open files and four models with four instances',
      { openFiles: 1_024 },
      { connections: [654, 327], http: [218, 163, 122] },
    ],
    [
      '256 open files and eight models with one instance',
      { openFiles: 256, versions: 8, instances: 1 },
      { connections: [84, 42], http: [28, 21, 15] },
    ],
    ['a million open files', { openFiles: 1_048_576 }, { connections: [10_000, 2_500], http: [2_048, 1_536, 1_024] }],
  ])('follow from %s', (_name, capacity, expected) => {
    const { settings, advice } = fitted({}, capacity);
    expect(
      numbersOf({ ...settings, maxInFlightBytes: (Math.round((settings.maxInFlightBytes / MiB) * 10) / 10) * MiB }),
    ).toMatchObject(expected);
    expect(advice).toEqual([]);
  });

  test('never sum up to more than there is, whatever there is, except for the longest message', () => {
    for (let memoryBytes = 2 * GiB; memoryBytes < 128 * GiB; memoryBytes *= 1.3) {
      for (const openFiles of [256, 1_024, 4_096, 65_536]) {
        const { advice } = fitted({ rest: 'on' }, { memoryBytes, openFiles, versions: 2, instances: 4 });
        expect(advice, `${memoryBytes} bytes, ${openFiles} files`).toEqual([]);
      }
    }
  });

  test('have room for the longest message, and say that there is too little memory for it', () => {
    const { settings, advice } = fitted({}, { memoryBytes: 512 * MiB, mailboxBytes: 64 * MiB });
    expect(numbersOf(settings)).toMatchObject({
      inFlight: 128,
      incoming: [96, 96],
      unread: [64, 64],
      unreadRest: [64, 64],
    });
    expect(advice).toEqual([expect.stringContaining('give more memory, or lower these or maxMessageBytes')]);
  });

  test('fit small memory where messages are small', () => {
    expect(fitted({ maxMessageBytes: 4 * MiB }, { memoryBytes: 512 * MiB, mailboxBytes: 64 * MiB }).advice).toEqual([]);
  });

  test('leave half of the connections to an admin port', () => {
    const { settings, advice } = fitted({ adminPort: 9_001 }, { openFiles: 1_024, versions: 2, instances: 1 });
    expect(settings.http2MaxConnections).toBe(352);
    expect(advice).toEqual([]);
  });

  test('leave a quarter of the open files to connections where models need more, and say so', () => {
    const { settings, advice } = fitted({}, { openFiles: 1_024, versions: 3_000, instances: 1 });
    expect(numbersOf(settings)).toMatchObject({ connections: [192, 96], http: [64, 48, 36] });
    expect(advice).toEqual(['raise the limit (ulimit -n 65536), or lower these']);
  });

  test('still let a probe in where there are hardly any open files, and say so', () => {
    const { settings, findings, advice } = fitted({}, { openFiles: 64 });
    expect(numbersOf(settings)).toMatchObject({ connections: [12, 6], http: [4, 3, 2] });
    expect(advice).toEqual(['raise the limit (ulimit -n 65536), or lower these']);
    expect(findings[1]?.text).toContain('at most 64, connections may take 12 (http2MaxConnections) and 4');
  });
});

describe('settings that are given', () => {
  test('stay as they are, and what does not fit is said with all numbers', () => {
    const flags = { maxInFlightBytes: GiB, http2MaxConnections: 5_000 };
    const { settings, findings, advice } = fitted(flags, { memoryBytes: 2 * GiB, openFiles: 1_024 });
    expect(settings).toMatchObject(flags);
    expect(advice).toHaveLength(2);
    expect(findings.map(({ text }) => text)).toEqual(
      [
        '2048 MiB, messages may take 5734 MiB: maxInFlightBytes 1024 MiB, http2MaxIncomingBytesInAll 205 MiB, http2MaxUnreadBytesInAll 205 MiB, bodies over REST (maxInFlightBytes again) 1024 MiB, httpMaxUnreadBytesInAll 205 MiB, tensors in mailboxDirectory 2048 MiB',
        'at most 1024, connections may take 5000 (http2MaxConnections) and 218 (httpMaxConnections); 152 are kept for the server and 4 model versions',
      ].map((text) => text.replace('5734', String(1_024 * 2 + 2_048 + Math.round(3 * 204.8)))),
    );
  });

  test('are not passed by what follows from them', () => {
    const { settings } = fitted({ httpMaxRequests: 1_000 }, { openFiles: 1_024 });
    expect(settings.httpMaxConnections).toBeGreaterThan(settings.httpMaxRequests);
  });
});

describe('what there is', () => {
  test.each([
    [
      'of a container, which sees its group as the root',
      { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/memory.max': '2147483648\n' },
      2 * GiB,
    ],
    [
      'of the tightest group on the way to the root',
      {
        'proc/self/cgroup': '0::/slice/service\n',
        'sys/fs/cgroup/slice/service/memory.max': 'max\n',
        'sys/fs/cgroup/slice/memory.max': '1073741824\n',
      },
      GiB,
    ],
    ['of none', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/memory.max': 'max\n' }, undefined],
    [
      'of version 1',
      {
        'proc/self/cgroup': '4:memory:/docker/abc\n3:cpu:/docker/abc\n',
        'sys/fs/cgroup/memory/memory.limit_in_bytes': '536870912\n',
      },
      512 * MiB,
    ],
    [
      'of version 1 without one',
      {
        'proc/self/cgroup': '4:memory:/\n',
        'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      },
      undefined,
    ],
    ['of a system without control groups', {}, undefined],
  ])('is the memory %s', (_name, files, limit) => {
    expect(readMemoryLimit(fileTree(files))).toBe(limit);
  });

  test('is what the control group lends, where Node says that it limits memory', () => {
    expect(memoryLimit(2 ** 30, 2 ** 34)).toBe(2 ** 30);
    expect(memoryLimit(0, 2 ** 34)).toBe(2 ** 34);
    expect(memoryLimit(2 ** 64, 2 ** 34)).toBe(2 ** 34);
  });

  test.each([
    [
      'Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n',
      1024,
    ],
    ['Max open files            unlimited            unlimited            files\n', Number.POSITIVE_INFINITY],
  ])('is the soft limit on open files: %j', (content, limit) => {
    expect(readOpenFileLimit(path.join(fileTree({ limits: content }), 'limits'))).toBe(limit);
    expect(readOpenFileLimit('/nosuch')).toBeUndefined();
  });

  test('are the versions that may be loaded', async () => {
    const modelRepository = fileTree({ 'a/1/x': '', 'a/2/x': '', 'b/7/x': '', 'b/warmup/x': '', '.hidden/1/x': '' });
    const settings = { modelRepository, mailboxDirectory: modelRepository, loadModel: [], maxLoadedModels: 0 };
    const versions = async (fields: object): Promise<number> => {
      return (await readCapacity({ ...settings, modelControlMode: 'none', ...fields })).versions;
    };
    expect(await versions({})).toBe(3);
    expect(await versions({ modelControlMode: 'explicit', maxLoadedModels: 2 })).toBe(2);
    expect(await versions({ modelControlMode: 'explicit' })).toBe(3);
    expect(await versions({ modelRepository: '/nosuch' })).toBe(0);
  });

  test('is read on this machine without a failure', async () => {
    const settings = { modelRepository: undefined, mailboxDirectory: '/', loadModel: [], maxLoadedModels: 0 };
    const capacity = await readCapacity({ ...settings, modelControlMode: 'none' });
    expect(capacity.memoryBytes).toBeGreaterThan(0);
    expect(capacity.openFiles).toBeGreaterThan(0);
    expect(capacity.mailboxBytes).toBeGreaterThan(0);
  });
});

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

test('runs share at most the cores that there are', () => {
  expect(usableCores()).toBeGreaterThan(0);
  expect(usableCores()).toBeLessThanOrEqual(os.availableParallelism());
});
