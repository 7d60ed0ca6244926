import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext } from './command-context.ts';
import type { CompressFlags } from './compress.ts';
import { parseCount, parseShare } from './option-values.ts';
import { repositoryOption } from './shared-options.ts';

const COMPRESS_HELP = `
Each candidate runs in its own process. Exit codes:
  0    a candidate passed every gate (with --publish: the published one)
  1    no candidate passed, or the command failed
  130  Ctrl-C: nothing was written

  tensorgate compress cifar10 --model-repository models \\
    --calibrate photos/ --evaluate labelled/ --to int8,fp16-weights \\
    --max-drop 0.5 --min-agreement 0.98 --report out --publish int8`;

export function addCompress(program: Command, { version, typed, exit }: CommandContext): void {
  const command = program
    .command('compress')
    .description('Compress a model and compare the candidates with it: accuracy, agreement, speed, bytes.')
    .argument('<model>', 'name of the model')
    .addOption(repositoryOption())
    .option('--version <number>', 'version to compress (default: the version that serves unversioned requests)')
    .addOption(
      new Option(
        '--to <list>',
        'int8, fp16-weights, rank:N, sparse:P (default: int8 with --calibrate, otherwise fp16-weights)',
      ).argParser(collectList),
    )
    .addOption(
      new Option('--with <list>', 'your own ONNX files to compare too; the file name names the candidate').argParser(
        collectList,
      ),
    )
    .addOption(
      new Option('--keep <list>', 'nodes that int8 keeps in float, by their names in the report').argParser(
        collectList,
      ),
    )
    .option(
      '--calibrate <data>',
      'real inputs to calibrate with: a folder of images or recorded rows, a .npz or a .jsonl file',
    )
    .addOption(new Option('--rows <n>', 'rows of --calibrate to use').argParser(parseCount).default(512))
    .option(
      '--evaluate <data>',
      'labelled inputs to evaluate on: one folder of images per class, a .npz with labels, or a .jsonl with label',
    )
    .option(
      '--embedding <output>',
      'output that is a vector of each row, to compare by cosine and neighbours (default: the vector of a folder of Hugging Face)',
    )
    .option('--report <dir>', 'directory for report.json, report.html and the candidates')
    .option(
      '--publish <candidate>',
      'publish this candidate as the next version, without traffic, if it passes the gates',
    )
    .option('--json', 'print the report as JSON')
    .addHelpText('after', COMPRESS_HELP)
    .action(async (model: string, flags: CompressFlags) => {
      const { compressModel } = await import('./compress.ts');
      exit(await compressModel(model, flags, { version, command: typed }));
    });
  for (const gate of gates()) command.addOption(gate);
}

/** Options that decide which candidates pass. */
function gates(): Option[] {
  return [
    new Option('--max-drop <points>', 'gate: maximum loss of accuracy in points, such as 0.5').argParser(parseReal),
    new Option('--min-agreement <share>', 'gate: minimum share of unchanged answers, such as 0.98').argParser(
      parseShare,
    ),
    new Option(
      '--min-cosine <cosine>',
      'gate: cosine with the base that 99 of 100 vectors have at least, such as 0.99',
    ).argParser(parseShare),
    new Option(
      '--min-neighbours <share>',
      'gate: minimum share of nearest neighbours that are kept, such as 0.9',
    ).argParser(parseShare),
    new Option('--max-bytes <bytes>', 'gate: maximum size of the model, such as 5000000 or 5MB').argParser(parseBytes),
  ];
}

function parseReal(text: string): number {
  if (!/^\d{1,3}(\.\d+)?$/.test(text)) throw new InvalidArgumentError('Expected a number from 0, such as 0.5.');
  return Number(text);
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

function parseBytes(text: string): number {
  const [, number, unit = ''] = /^(\d{1,15}(?:\.\d+)?) ?(kB|MB|GB|KiB|MiB|GiB)?$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('Expected a number of bytes, such as 5000000 or 5MB.');
  return Math.floor(Number(number) * (UNITS[unit] ?? 1));
}

/** Values are separated by commas, or the flag is repeated. */
function collectList(text: string, before: readonly string[] = []): readonly string[] {
  const values = text.split(',').map((value) => value.trim());
  if (values.includes('')) throw new InvalidArgumentError('Expected names, separated by commas.');
  return [...before, ...values];
}
