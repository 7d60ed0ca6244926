/** `npm run test:mesh`: proves what deploy/istio promises, on a real mesh without a cluster. See `--help`. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { PROOFS } from './proofs/catalogue.ts';
import type { Overlay } from './proofs/proof.ts';
import { type ControlPlane, startControlPlane } from './rig/control-plane.ts';
import { saveLogs } from './rig/daemon.ts';
import { startIstiod } from './rig/istiod.ts';
import { Mesh } from './rig/mesh.ts';
import { furnish, isInside, obstacle, runInside } from './rig/sandbox.ts';
import { openToolbox, type Toolbox } from './rig/toolbox.ts';
import { Score } from './score.ts';
import { runProofs } from './trial.ts';

const OVERLAYS = [...new Set(PROOFS.map(({ overlay }) => overlay))];

const command = new Command('npm run test:mesh --')
  .description(
    'Proves what deploy/istio promises, on a real Istio without a cluster: kube-apiserver, istiod, injected Envoys, and the\n' +
      'gateway of this checkout, in network and process namespaces that end with the run. Needs Linux, root, Go and Python; the\n' +
      'first run builds for 9 to 20 minutes (test/mesh/setup.sh), later ones take minutes.',
  )
  .argument('[proofs...]', 'only these proofs; see --list')
  .option('--list', 'print the proofs, what each promises, and the fault that has to break it')
  .option('--mutate', 'after each proof, write its fault into the live mesh, where the proof then has to fail')
  .option('--mutate-some', 'the same for one proof of each overlay')
  .option(
    '--exec <command>',
    'no proofs: bring up API server, controllers and istiod, and run this with bash beside them',
  )
  .addOption(
    new Option('--overlay <name>', 'with --exec: also run the pods of test/mesh/overlays/NAME').choices(OVERLAYS),
  )
  .addHelpText(
    'after',
    `
Examples:
  npm run test:mesh                                  all proofs
  npm run test:mesh -- canary-share strict           two of them
  npm run test:mesh -- --mutate strict               one, and its mutation
  npm run test:mesh -- --exec 'kubectl apply --dry-run=server -k deploy/istio/overlays/plain'
  npm run test:mesh -- --overlay canary --exec bash  look around, with kubectl and istioctl

Ends with a line "N passed, N failed, N skipped". Without root or namespaces all are skipped, or, where CI=true, failed.
After a failure, the logs of all that ran lie in test/mesh/logs/.`,
  )
  .parse();
const options = command.opts<{
  list?: boolean;
  mutate?: boolean;
  mutateSome?: boolean;
  exec?: string;
  overlay?: Overlay;
}>();

async function main(): Promise<number> {
  const proofs = PROOFS.filter(({ name }) => command.args.length === 0 || command.args.includes(name));
  const unknown = command.args.filter((name) => !PROOFS.some((proof) => proof.name === name));
  if (unknown.length > 0) command.error(`error: no proof is called ${unknown.join(', ')}; see --list`);
  if (options.list === true) {
    for (const { name, promise, overlay, mutation } of PROOFS) {
      console.log(`${name} (${overlay})\n  ${promise}\n  broken by: ${mutation.fault}`);
    }
    return 0;
  }
  if (!isInside()) {
    const why = obstacle();
    if (why !== undefined) return refuse(why, proofs.length);
    openToolbox();
    return runInside(fileURLToPath(import.meta.url), process.argv.slice(2));
  }

  furnish();
  const toolbox = openToolbox();
  if (options.exec !== undefined) return await execute(options.exec, toolbox, options.overlay);
  const mutated = options.mutate === true ? 'all' : options.mutateSome === true ? 'one-per-overlay' : 'none';
  const score = await runProofs(proofs, toolbox, mutated);
  if (score.failed > 0) console.log(`logs: ${saveLogs()}`);
  console.log(String(score));
  return score.failed > 0 ? 1 : 0;
}

/** Where nothing can be proven: a developer gets a notice, and CI must not pass for that. */
function refuse(why: string, proofs: number): number {
  const isCi = process.env['CI'] === 'true';
  console.error(`test:mesh: ${isCi ? 'FAILED' : 'SKIPPED'}, NOTHING WAS PROVEN: ${why}`);
  const score = new Score();
  for (let i = 0; i < proofs; i += 1) score.count(isCi ? 'failed' : 'skipped');
  console.log(String(score));
  return isCi || options.exec !== undefined ? 1 : 0;
}

async function execute(script: string, toolbox: Toolbox, overlay: Overlay | undefined): Promise<number> {
  let control: ControlPlane;
  if (overlay === undefined) {
    control = await startControlPlane(toolbox);
    await startIstiod(toolbox, control);
  } else {
    const mesh = await Mesh.start(toolbox);
    await mesh.apply(overlay);
    control = mesh.control;
  }
  const programs = [path.dirname(toolbox.kubectl), path.dirname(toolbox.istioctl)];
  const env = { ...process.env, KUBECONFIG: control.kubeconfig, PATH: [...programs, process.env['PATH']].join(':') };
  const child = spawn('bash', ['-c', script], { stdio: 'inherit', env });
  const [code] = await once(child, 'exit');
  return typeof code === 'number' ? code : 1;
}

process.exit(await main());
