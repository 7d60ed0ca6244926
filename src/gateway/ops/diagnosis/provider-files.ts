/** The execution providers of ONNX Runtime as files on disk. This process looks at the files and never loads them. */

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { ExecutionProvider } from '../../../worker/protocol.ts';

/** The libraries that ONNX Runtime opens for a provider, by the names that it looks for beside its binding. */
export const PROVIDER_LIBRARIES = {
  cpu: [],
  cuda: ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'],
  // TensorRT leaves what it cannot take to CUDA.
  tensorrt: [
    'libonnxruntime_providers_shared.so',
    'libonnxruntime_providers_tensorrt.so',
    'libonnxruntime_providers_cuda.so',
  ],
} as const satisfies Record<ExecutionProvider, readonly string[]>;

export interface ProviderFiles {
  /** Provider libraries that are not beside the binding. */
  readonly missing: readonly string[];
  /** Libraries that the present files need and the loader does not find; `undefined` if this machine has no `ldd`. */
  readonly unresolved: readonly string[] | undefined;
}

/** @param env decides where the loader looks: `LD_LIBRARY_PATH`. */
export async function inspectProvider(
  bindingDirectory: string,
  provider: ExecutionProvider,
  env: NodeJS.ProcessEnv,
): Promise<ProviderFiles> {
  const files = PROVIDER_LIBRARIES[provider].map((name) => path.join(bindingDirectory, name));
  const present = files.filter((file) => fs.existsSync(file));
  const listings = await Promise.all(present.map((file) => listDependencies(file, env)));
  const known = listings.filter((listing) => listing !== undefined);
  return {
    missing: files.filter((file) => !present.includes(file)).map((file) => path.basename(file)),
    unresolved: known.length < listings.length ? undefined : [...new Set(known.flatMap(unresolvedIn))],
  };
}

/** The names of shared libraries for which `ldd` says `not found`. */
export function unresolvedIn(listing: string): string[] {
  return [...listing.matchAll(/^\s*(\S+) => not found$/gm)].map(([, name = '']) => name);
}

/** `ldd` has the loader find what a library needs, in a process of its own, and runs none of its code. */
function listDependencies(file: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return new Promise((resolve) => {
    // Its listing is in English in every locale but for what is wrong with the file.
    execFile('ldd', [file], { env: { ...env, LC_ALL: 'C' } }, (error, stdout) => {
      resolve(error === null ? stdout : undefined);
    });
  });
}
