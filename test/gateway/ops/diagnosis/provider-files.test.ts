import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  inspectProvider,
  PROVIDER_LIBRARIES,
  unresolvedIn,
} from '../../../../src/gateway/ops/diagnosis/provider-files.ts';
import { findOnnxRuntime } from '../../../../src/worker/onnx-runtime-package.ts';
import { temporaryDirectory } from '../../../support/temporary-directory.ts';

const { bindingDirectory } = findOnnxRuntime();

test('each provider library that is not beside the binding is named', async () => {
  const directory = temporaryDirectory();
  for (const provider of ['cpu', 'cuda', 'tensorrt'] as const) {
    expect(await inspectProvider(directory, provider, process.env)).toEqual({
      missing: PROVIDER_LIBRARIES[provider],
      unresolved: [],
    });
  }
});

test('what ldd cannot find is distinguished from what it finds', () => {
  const listing = [
    '\tlinux-vdso.so.1 (0x00007ffd8a3f2000)',
    '\tlibcublasLt.so.12 => not found',
    '\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0a3c000000)',
    '\tlibcudnn.so.9 => not found',
    '\t/lib64/ld-linux-x86-64.so.2 (0x00007f0a3c3b1000)',
    '',
  ].join('\n');
  expect(unresolvedIn(listing)).toEqual(['libcublasLt.so.12', 'libcudnn.so.9']);
});

const hasLdd = canRun('ldd', '--version') && process.platform === 'linux';
if (!hasLdd) console.warn('SKIPPED: there is no ldd here, so that the needs of a library cannot be read');

describe.skipIf(!hasLdd)('a provider library that is there', () => {
  /** The binding needs libonnxruntime.so.1, which it looks for beside itself: away from there it stands for any such library. */
  function lonelyLibrary(): string {
    const directory = temporaryDirectory();
    const library = path.join(directory, PROVIDER_LIBRARIES.cuda[1]);
    fs.copyFileSync(path.join(bindingDirectory ?? '', 'onnxruntime_binding.node'), library);
    return directory;
  }

  test('is asked what it needs and cannot find', async () => {
    expect(await inspectProvider(lonelyLibrary(), 'cuda', process.env)).toEqual({
      missing: [PROVIDER_LIBRARIES.cuda[0]],
      unresolved: ['libonnxruntime.so.1'],
    });
  });

  test('finds it where LD_LIBRARY_PATH says', async () => {
    const env = { ...process.env, LD_LIBRARY_PATH: bindingDirectory };
    expect((await inspectProvider(lonelyLibrary(), 'cuda', env)).unresolved).toEqual([]);
  });
});

test('without an ldd to ask, nothing is claimed of what a library needs', async () => {
  const directory = temporaryDirectory();
  fs.writeFileSync(path.join(directory, PROVIDER_LIBRARIES.cuda[1]), 'a library');
  const files = await inspectProvider(directory, 'cuda', { PATH: directory });
  expect(files).toEqual({ missing: [PROVIDER_LIBRARIES.cuda[0]], unresolved: undefined });
});

function canRun(program: string, argument: string): boolean {
  try {
    execFileSync(program, [argument], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
