/** `npm run test:mesh`: proves what deploy/istio promises, on a real mesh. See `--help`. */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { startControlPlane } from './rig/control-plane.ts';
import { startIstiod } from './rig/istiod.ts';
import { furnish, isInside, obstacle, runInside } from './rig/sandbox.ts';
import { openToolbox } from './rig/toolbox.ts';

const command = new Command('test:mesh')
  .option(
    '--exec <command>',
    'only bring up the control plane and istiod, run the command with bash, and end with its exit code',
  )
  .parse();
const options = command.opts<{ exec?: string }>();

async function main(): Promise<number> {
  if (!isInside()) {
    const why = obstacle();
    if (why !== undefined) throw new Error(why);
    openToolbox();
    return runInside(fileURLToPath(import.meta.url), process.argv.slice(2));
  }
  furnish();
  const toolbox = openToolbox();
  if (options.exec !== undefined) {
    const control = await startControlPlane(toolbox);
    await startIstiod(toolbox, control);
    const programs = [path.dirname(toolbox.kubectl), path.dirname(toolbox.istioctl)];
    const env = { ...process.env, KUBECONFIG: control.kubeconfig, PATH: [...programs, process.env['PATH']].join(':') };
    return spawnSync('bash', ['-c', options.exec], { stdio: 'inherit', env }).status ?? 1;
  }
  return 0;
}

process.exit(await main());
