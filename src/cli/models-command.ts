import { type Command, Option } from 'commander';
import type { CommandContext } from './command-context.ts';
import { addConnectionOptions } from './connection-options.ts';
import type { LoadFlags, UnloadFlags } from './model-control.ts';
import type { ModelsFlags } from './models.ts';
import type { ShadowFlags } from './shadow.ts';
import { WHAT } from './shared-options.ts';
import { passOptionsOn } from './subcommand-options.ts';
import { refuseUnknownSubcommand } from './unknown-subcommand.ts';
import type { ValidateFlags } from './validate.ts';

export function addModels(program: Command, context: CommandContext): void {
  const { exit } = context;
  const modelsCommand = addConnectionOptions(
    program
      .command('models')
      .description(
        'List the models of a server: state, default version, instances and batching, and why others are not ready.',
      )
      .enablePositionalOptions()
      .hook('preSubcommand', passOptionsOn)
      .option('--json', 'print JSON')
      .addOption(watchOption())
      .allowExcessArguments()
      .action(async (flags: ModelsFlags, command: Command) => {
        refuseUnknownSubcommand(command);
        const { listModels } = await import('./models.ts');
        exit(await listModels(flags));
      }),
  );
  addControl(modelsCommand, context);
  addReports(modelsCommand, context);
  modelsCommand
    .command('validate')
    .description('Check a model, or the models and configurations of a repository, without serving them.')
    .argument('<what>', WHAT)
    .option('--json', 'print JSON')
    .action(async (what: string, flags: ValidateFlags) => {
      const { validate } = await import('./validate.ts');
      exit(await validate(what, flags));
    });
}

function watchOption(): Option {
  return new Option(
    '--watch',
    'look again every 2 s until Ctrl-C: redraw a terminal, append changes to any other output',
  );
}

/** A large model may take as long. */
const LOAD_LIMIT_MS = 600_000;

function addControl(modelsCommand: Command, { exit }: CommandContext): void {
  addConnectionOptions(
    modelsCommand
      .command('load')
      .description('Load models, or load them again from the repository. Needs --model-control-mode explicit.')
      .argument('<model...>', 'names of models')
      .option('--config <file>', 'JSON file with the configuration to load the models with')
      .action(async (models: string[], flags: LoadFlags) => {
        const { loadModels } = await import('./model-control.ts');
        exit(await loadModels(models, flags));
      }),
    LOAD_LIMIT_MS,
  );
  addConnectionOptions(
    modelsCommand
      .command('unload')
      .description('Unload models; they answer the requests that they accepted. Needs --model-control-mode explicit.')
      .argument('<model...>', 'names of models')
      .option('--dependents', "unload also the models of an ensemble's steps that no other ensemble needs")
      .action(async (models: string[], flags: UnloadFlags) => {
        const { unloadModels } = await import('./model-control.ts');
        exit(await unloadModels(models, flags));
      }),
  );
}

function addReports(modelsCommand: Command, { exit }: CommandContext): void {
  addConnectionOptions(
    modelsCommand
      .command('index')
      .description('List every version of every model that the server knows, loaded or not, with its state and reason.')
      .option('--json', 'print JSON')
      .addOption(watchOption())
      .action(async (flags: ModelsFlags) => {
        const { showIndex } = await import('./model-control.ts');
        exit(await showIndex(flags));
      }),
  );
  addConnectionOptions(
    modelsCommand
      .command('stats')
      .description('Show what ready models have done: requests, rows, batches, and mean times.')
      .argument('[model]', 'name of a model (default: all)')
      .option('--json', 'print JSON')
      .addOption(watchOption())
      .action(async (model: string | undefined, flags: ModelsFlags) => {
        const { showStatistics } = await import('./model-control.ts');
        exit(await showStatistics(model, flags));
      }),
  );
  addConnectionOptions(
    modelsCommand
      .command('shadow')
      .description('Compare the answers of shadow versions with the answers that clients get.')
      .argument('[model]', 'name of a model (default: all)')
      .option('--json', 'print JSON')
      .action(async (model: string | undefined, flags: ShadowFlags) => {
        const { showShadows } = await import('./shadow.ts');
        exit(await showShadows(model, flags));
      }),
  );
}
