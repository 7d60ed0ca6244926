import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import {
  arithmeticFlags,
  arithmeticHere,
  cpuFlags,
  instructionSetClass,
} from '../../../src/gateway/repository/arithmetic.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

test.each([
  ['x64', ['avx2', 'avx512bw', 'avx512_vnni'], 'x64 avx512-vnni'],
  ['x64', ['avx2', 'avx_vnni'], 'x64 avx-vnni'],
  ['x64', ['sse4_2', 'avx2'], 'x64 avx2'],
  ['arm64', ['asimd', 'asimddp'], 'arm64 dotprod'],
  ['riscv64', [], 'riscv64'],
] as const)('%s with %j is of the class %s', (arch, flags, expected) => {
  expect(instructionSetClass(arch, new Set(flags))).toBe(expected);
});

test('flags are read from /proc/cpuinfo, and there may be none', () => {
  const file = path.join(temporaryDirectory(), 'cpuinfo');
  fs.writeFileSync(file, 'processor\t: 0\nflags\t\t: fpu avx2 fma xtopology\n\nprocessor\t: 1\nflags\t\t: fpu\n');
  expect([...cpuFlags(file)]).toEqual(['fpu', 'avx2', 'fma', 'xtopology']);
  expect(arithmeticFlags(cpuFlags(file))).toEqual(['avx2', 'fma']);
  expect(cpuFlags('/nowhere').size).toBe(0);
});

test('this installation has a version of ONNX Runtime', () => {
  expect(arithmeticHere()).toMatchObject({ onnxRuntime: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
});
