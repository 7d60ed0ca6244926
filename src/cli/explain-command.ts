import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import { addConnectionOptions } from './connection-options.ts';
import type { ExplainFlags } from './explain.ts';
import { addSettingOptions, configOption, givenSettings } from './setting-options.ts';
import { WHAT } from './shared-options.ts';

export function addExplain(program: Command, { version, exit }: CommandContext): void {
  const explainCommand = program
    .command('explain')
    .description(
      'Explain how a model is served, and why: signature, batching and its proof, provider, cost, limits, versions, settings.',
    )
    .argument('[what]', `${WHAT}, which is loaded and measured; with --url, the name of a model on a server`)
    .option('--model <name>', 'explain only this model of a repository')
    .option('--version <version>', 'version of the model (default: the version that answers requests without one)')
    .option('--json', 'print JSON')
    .addOption(configOption())
    .action(async (what: string | undefined, flags: ExplainFlags, command: Command) => {
      const { explain } = await import('./explain.ts');
      const server = command.getOptionValueSource('url');
      if (server === 'cli' && what === undefined) command.error('error: --url needs the name of a model');
      exit(await explain(what, givenSettings(command), { ...flags, server }, version));
    });
  addConnectionOptions(explainCommand);
  addSettingOptions(explainCommand);
}
