/** `npm run lint:deploy`: the rules of deploy/istio on a build of it, or of your own on top of it. */

import fs from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { BuildError, findKubectl, readBuild } from './build.ts';
import { lint, RULES } from './lint.ts';

const OVERLAYS = path.join(import.meta.dirname, '../istio/overlays');

const command = new Command('lint:deploy')
  .description('Checks builds of deploy/istio for what an API server takes and production does not.')
  .argument(
    '[source...]',
    'directory with a kustomization.yaml, file of objects, or - for standard input; without any, every overlay here',
  )
  .option('--json', 'findings as JSON, one a line')
  .option('--rules', 'list the rules and the fault that each prevents')
  .addHelpText(
    'after',
    `
kubectl, with kustomize in it, is taken from KUBECTL, .tools/kubectl (test/tools/setup.sh) or PATH.
Exit code: 0 nothing found, 1 something found, 2 a build could not be made.`,
  )
  .parse();

const { json = false, rules = false } = command.opts<{ json?: boolean; rules?: boolean }>();

function everyOverlay(): string[] {
  const names = fs.readdirSync(OVERLAYS).sort();
  return names.map((name) => path.relative(process.cwd(), path.join(OVERLAYS, name)));
}

function main(sources: readonly string[]): number {
  if (rules) {
    for (const { id, prevents } of RULES) console.log(`${id}\n    ${prevents}`);
    return 0;
  }
  const kubectl = findKubectl(process.env);
  let count = 0;
  for (const source of sources.length === 0 ? everyOverlay() : sources) {
    const findings = lint(readBuild(source, kubectl));
    count += findings.length;
    for (const finding of findings) {
      const { rule, object, text } = finding;
      console.log(json ? JSON.stringify({ source, ...finding }) : `${source}: ${object}: ${text} (${rule})`);
    }
    if (!json && findings.length === 0) console.log(`${source}: nothing found`);
  }
  return count === 0 ? 0 : 1;
}

try {
  process.exitCode = main(command.args);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`lint:deploy: ${error.message}`);
  process.exitCode = 2;
}
