import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import type { ServeFlags } from './serve.ts';
import { addSettingOptions, configOption, givenSettings } from './setting-options.ts';
import { WHAT } from './shared-options.ts';

export function addServe(program: Command, { version, exit }: CommandContext): void {
  const serveCommand = program
    .command('serve')
    .description('Serve a model, or the models of a repository, over gRPC and REST, until SIGTERM or SIGINT.')
    .argument('[what]', `${WHAT}; instead of --model-repository`)
    .addOption(configOption())
    .option('--print-config', 'print every setting with its value and source, and exit')
    .action(async (what: string | undefined, flags: ServeFlags, command: Command) => {
      const { serve } = await import('./serve.ts');
      exit(await serve(givenSettings(command), { ...flags, what }, version));
    });
  addSettingOptions(serveCommand);
}
