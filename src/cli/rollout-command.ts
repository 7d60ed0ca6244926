import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext } from './command-context.ts';
import { addConnectionOptions, type ConnectionOptions } from './connection-options.ts';
import { parseCount, parseShare } from './option-values.ts';
import type { RolloutFlags, StatusFlags } from './rollout.ts';

export function addRollout(program: Command, { exit }: CommandContext): void {
  const rolloutCommand = program
    .command('rollout')
    .description("Move a model's traffic to a new version in steps; roll back automatically when checks fail.")
    .usage('<model> --to <version> [options]\n       tensorgate rollout <command> [options]')
    .helpCommand(false)
    .enablePositionalOptions();
  addStart(rolloutCommand, exit);
  addConnectionOptions(
    rolloutCommand
      .command('status')
      .description('Show the state of rollouts.')
      .argument('[model]', 'name of a model (default: all)')
      .option('--json', 'print JSON')
      .action(async (model: string | undefined, flags: StatusFlags) => {
        const { showRollouts } = await import('./rollout.ts');
        exit(await showRollouts(model, flags));
      }),
  );
  addConnectionOptions(
    rolloutCommand
      .command('abort')
      .description('Abort the running rollout: all traffic returns to the old version.')
      .argument('<model>', 'name of the model')
      .action(async (model: string, flags: ConnectionOptions) => {
        const { abortRollout } = await import('./rollout.ts');
        exit(await abortRollout(model, flags));
      }),
  );
  addConnectionOptions(
    rolloutCommand
      .command('forget')
      .description("Remove a finished rollout: the model's configuration decides the traffic again.")
      .argument('<model>', 'name of the model')
      .action(async (model: string, flags: ConnectionOptions) => {
        const { forgetRollout } = await import('./rollout.ts');
        exit(await forgetRollout(model, flags));
      }),
  );
}

interface StartFlags extends RolloutFlags {
  readonly hold?: number;
  readonly emit?: 'istio';
  readonly step?: string;
}

function addStart(rolloutCommand: Command, exit: CommandContext['exit']): void {
  const startCommand = rolloutCommand
    // `start` may be omitted, except for a model named like another of these commands.
    .command('start', { isDefault: true })
    .description(
      'Start a rollout, or attach to the running one, and follow it. Exits with 0 when the version is promoted.',
    )
    .argument('<model>', 'name of the model')
    .requiredOption('--to <version>', 'new version');
  for (const option of planOptions()) startCommand.addOption(option);
  addConnectionOptions(
    startCommand
      .option('--dry-run', 'print the plan and change nothing')
      .addOption(
        new Option('--emit <mesh>', 'print the steps as patches for deploy/istio instead, without a server')
          .choices(['istio'])
          .conflicts('dryRun'),
      )
      .option('--step <name>', 'with --emit, print only this patch: shadow, canary-10, promote, rollback')
      .action(async (model: string, { hold, emit, step, ...flags }: StartFlags, command: Command) => {
        const rollout = { ...flags, holdMs: hold };
        if (emit !== undefined) {
          const { emitIstio } = await import('./emit-istio.ts');
          exit(emitIstio(model, { ...rollout, ...(step !== undefined && { step }) }));
          return;
        }
        if (step !== undefined) command.error('error: --step needs --emit istio');
        const { rollOut } = await import('./rollout.ts');
        exit(await rollOut(model, rollout));
      }),
  );
}

function planOptions(): readonly Option[] {
  return [
    new Option(
      '--shadow-share <share>',
      'share of requests copied to it before it gets traffic (default: 10%)',
    ).argParser(parseShare),
    new Option('--comparisons <n>', 'comparisons before it gets traffic (default: 200)').argParser(parseCount),
    new Option('--steps <list>', 'its share of traffic per step, in percent (default: 1,10,50,100)').argParser(
      parseSteps,
    ),
    new Option('--hold <time>', 'minimum duration of a step, such as 30s or 5m (default: 60s)').argParser(
      parseDuration,
    ),
    new Option('--requests <n>', 'minimum of requests that it answers per step (default: 100)').argParser(parseCount),
    new Option(
      '--min-agreement <share>',
      "minimum share of agreeing rows (default: from the version's report, or 99%)",
    ).argParser(parseShare),
    new Option(
      '--max-difference <x>',
      'rows agree when no element differs by more than this, instead of by the largest element',
    ).argParser(parseAmount),
    new Option(
      '--max-error-rate <share>',
      'maximum error rate above the error rate of the old version (default: 1%)',
    ).argParser(parseShare),
    new Option(
      '--max-p99-ratio <x>',
      'maximum ratio of its 99th percentile of latency to the old version (default: 1.5)',
    ).argParser(parseAmount),
  ];
}

function parseAmount(text: string): number {
  if (!/^\d+(\.\d+)?(e-?\d+)?$/i.test(text)) throw new InvalidArgumentError('Expected a number that is not negative.');
  return Number(text);
}

function parseSteps(text: string): number[] {
  const steps = text.split(',').map((part) => part.trim().replace(/\s*%$/, ''));
  if (!steps.every((step) => /^\d+(\.\d+)?$/.test(step))) {
    throw new InvalidArgumentError('Expected ascending percentages, the last of them 100: 1,10,50,100.');
  }
  return steps.map(Number);
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000 };

/** In milliseconds; a number without a unit is seconds. */
function parseDuration(text: string): number {
  const [, digits, unit = 's'] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('Expected a time, such as 500ms, 30s or 5m.');
  return Math.round(Number(digits) * (UNITS_MS[unit] ?? 1_000));
}
