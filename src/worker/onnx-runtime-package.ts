/** Finds the files of ONNX Runtime's binding for Node. Nothing is loaded: the gateway, which holds no native code, asks too. */

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export interface OnnxRuntimePackage {
  readonly version: string;
  readonly directory: string;
  /** The folder with the binding for this machine, and the provider libraries beside it; `undefined` without a binding. */
  readonly bindingDirectory: string | undefined;
}

/** The files of onnxruntime-node for Linux, which come with the npm package of tensorgate. A clone has none. */
const BUNDLED = fileURLToPath(new URL('../onnxruntime-node', import.meta.url));

/**
 * The installed package onnxruntime-node, otherwise the bundled files. An installed package of another version than the bundled
 * one belongs to another program.
 * @throws Error if there is neither, or if only the bundled files are left and they have no binding for the platform
 */
export function findOnnxRuntime(
  platform: string = process.platform,
  arch: string = process.arch,
  bundledDirectory: string = BUNDLED,
): OnnxRuntimePackage {
  const installed = installedPackage(platform, arch);
  const bundled = packageIn(bundledDirectory, platform, arch);
  if (bundled === undefined) {
    if (installed === undefined) throw new Error('onnxruntime-node is not installed: npm install onnxruntime-node');
    return installed;
  }
  if (installed?.version === bundled.version) return installed;
  if (bundled.bindingDirectory !== undefined) return bundled;
  const here = `${platform}/${arch}`;
  throw new Error(`the package of tensorgate has no ONNX Runtime for ${here}: npm install ${packageSpec(bundled)}`);
}

/** Package specifier for npm, with the very same version. */
export function packageSpec({ version }: OnnxRuntimePackage): string {
  return `onnxruntime-node@${version}`;
}

function installedPackage(platform: string, arch: string): OnnxRuntimePackage | undefined {
  let manifest: string;
  try {
    manifest = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  } catch {
    return undefined;
  }
  return packageIn(path.dirname(manifest), platform, arch);
}

function packageIn(directory: string, platform: string, arch: string): OnnxRuntimePackage | undefined {
  const manifest = path.join(directory, 'package.json');
  if (!fs.existsSync(manifest)) return undefined;
  const { version } = JSON.parse(fs.readFileSync(manifest, 'utf8')) as { readonly version: string };
  const bindingDirectory = fs
    .readdirSync(path.join(directory, 'bin'))
    .filter((name) => /^napi-v\d+$/.test(name))
    .map((name) => path.join(directory, 'bin', name, platform, arch))
    .find((candidate) => fs.existsSync(path.join(candidate, 'onnxruntime_binding.node')));
  return { version, directory, bindingDirectory };
}
