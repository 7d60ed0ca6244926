#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { isSupportedNode } from './node-version.ts';

/** The part of package.json that the command line needs. */
export interface PackageJson {
  readonly version: string;
  readonly engines: { readonly node: string };
}

const packageJson = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as PackageJson;
const wanted = packageJson.engines.node;

if (isSupportedNode(process.versions.node, wanted)) {
  // Nothing else may be loaded before the check: an unsupported Node might not even parse it.
  const { useCompileCache } = await import('./compile-cache.ts');
  useCompileCache(process.env);
  const { runProgram } = await import('./program.ts');
  process.exitCode = await runProgram(process.argv.slice(2), packageJson.version);
} else {
  process.stderr.write(`error: tensorgate runs on Node ${wanted}, and this is Node ${process.versions.node}\n`);
  process.exitCode = 1;
}
