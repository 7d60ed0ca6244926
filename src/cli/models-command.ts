import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import { addConnectionOptions } from './connection-options.ts';
import type { ModelsFlags } from './models.ts';
import type { ShadowFlags } from './shadow.ts';
import { WHAT } from './shared-options.ts';
import { refuseUnknownSubcommand } from './unknown-subcommand.ts';
import type { ValidateFlags } from './validate.ts';

export function addModels(program: Command, { exit }: CommandContext): void {
  const modelsCommand = addConnectionOptions(
    program
      .command('models')
      .description(
        'List the models of a server with their state: how ready models batch, and why others are not ready.',
      )
      .enablePositionalOptions()
      .option('--json', 'print JSON')
      .allowExcessArguments()
      .action(async (flags: ModelsFlags, command: Command) => {
        refuseUnknownSubcommand(command);
        const { listModels } = await import('./models.ts');
        exit(await listModels(flags));
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
