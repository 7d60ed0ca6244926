import { type Command, Option } from 'commander';
import type { CommandContext } from './command-context.ts';
import type { GoldenFlags } from './golden.ts';
import { parseCount } from './option-values.ts';
import { repositoryOption } from './shared-options.ts';

export function addGolden(program: Command, { typed, exit }: CommandContext): void {
  const goldenCommand = program
    .command('golden')
    .description('Manage golden inputs: rows with known answers that a version must reproduce before it serves.')
    .helpCommand(false);
  goldenCommand
    .command('record')
    .description('Record the current answers of a version in its directory, under golden/.')
    .argument('<model>', 'name of the model')
    .addOption(repositoryOption())
    .option('--version <number>', 'version of the model (default: the version that serves unversioned requests)')
    .requiredOption('--data <data>', 'inputs: a folder of images or recorded rows, a .npz or a .jsonl file')
    .addOption(new Option('--rows <n>', 'rows of --data to record').argParser(parseCount).default(32))
    .option('--replace', 'replace existing golden inputs')
    .action(async (model: string, flags: GoldenFlags) => {
      const { recordGoldenRows } = await import('./golden.ts');
      exit(await recordGoldenRows(model, flags, typed));
    });
}
