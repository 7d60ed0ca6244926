import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Shape } from '../client/inference-client.ts';
import type { CommandContext } from './command-context.ts';
import { addConnectionOptions } from './connection-options.ts';
import type { InferFlags } from './infer.ts';
import { parseCount } from './option-values.ts';

export function addInfer(program: Command, { exit }: CommandContext): void {
  addConnectionOptions(
    program
      .command('infer')
      .description('Send a request to a model on a server and print the response.')
      .argument('<model>', 'name of the model')
      .addOption(
        new Option(
          '--image <file...>',
          'images to classify, one request each, sent concurrently; prints the best classes per image',
        ).conflicts(['json', 'raw', 'shape']),
      )
      .addOption(
        new Option(
          '--json <file>',
          `request as JSON: the REST format, or {"input": [[1, 2]]}; '-' reads stdin`,
        ).conflicts(['image', 'raw', 'shape']),
      )
      .addOption(
        new Option('--raw <name=file...>', 'file with the raw elements of an input, little-endian')
          .argParser(collectFiles)
          .conflicts(['image', 'json']),
      )
      .addOption(
        new Option(
          '--shape <name=sizes...>',
          'shape of a raw input, such as x=1,3,32,32 (default: from the model)',
        ).argParser(collectShapes),
      )
      .option('--version <version>', 'version of the model (default: the server chooses)')
      .option('--output <name...>', 'outputs to request (default: all)')
      .addOption(new Option('--top <k>', 'classes to print per image').argParser(parseCount).default(1))
      .option('--json-output', 'print the classes of images as JSON, one line per image')
      .action(async (model: string, flags: InferFlags, command: Command) => {
        if (flags.image === undefined && flags.json === undefined && flags.raw === undefined) {
          command.error('error: no input: give --image FILE, --json FILE or --raw NAME=FILE');
        }
        const { infer } = await import('./infer.ts');
        exit(await infer(model, flags));
      }),
  );
}

function splitPair(text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Expected NAME=VALUE.');
  return [text.slice(0, at), text.slice(at + 1)];
}

function collectFiles(text: string, collected: ReadonlyMap<string, string> = new Map()): ReadonlyMap<string, string> {
  return new Map([...collected, splitPair(text)]);
}

function collectShapes(text: string, collected: ReadonlyMap<string, Shape> = new Map()): ReadonlyMap<string, Shape> {
  const [name, sizes] = splitPair(text);
  if (!/^(\d+(,\d+)*)?$/.test(sizes)) throw new InvalidArgumentError('Sizes are whole numbers: x=1,3,32,32.');
  return new Map([...collected, [name, sizes === '' ? [] : sizes.split(',').map(Number)]]);
}
