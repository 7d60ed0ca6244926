import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import { addConnectionOptions } from './connection-options.ts';
import type { GenerateFlags } from './generate-client.ts';

export function addClient(program: Command, { exit }: CommandContext): void {
  const clientCommand = program
    .command('client')
    .description('Make a typed TypeScript client of the models of a server.')
    .helpCommand(false);
  addConnectionOptions(
    clientCommand
      .command('generate')
      .description('Write a TypeScript file with the types of models, and a client of them.')
      .argument('[model...]', 'names of models (default: all models of the server that are ready)')
      .requiredOption('--out <file>', 'TypeScript file to write')
      .option('--import <package>', 'package that the file imports the client from', '@tensorgate/client')
      .option('--check', 'write nothing; end with 1 if the file is not what the server has now, for CI')
      .action(async (models: readonly string[], flags: GenerateFlags) => {
        const { generateClient } = await import('./generate-client.ts');
        exit(await generateClient(models, flags));
      }),
  );
}
