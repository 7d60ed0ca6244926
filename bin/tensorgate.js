#!/usr/bin/env node
import { existsSync } from 'node:fs';

// A clone runs its sources as they are. The package holds what is built from them.
const sources = new URL('../src/cli/main.ts', import.meta.url);
if (!existsSync(sources)) {
  await import('../dist/cli/main.js');
} else if (process.features.typescript) {
  await import(sources.href);
} else {
  const { node } = process.versions;
  process.stderr.write(
    `error: a clone of tensorgate runs on Node 22.18 or newer, and this is Node ${node}: use npx tensorgate\n`,
  );
  process.exitCode = 1;
}
