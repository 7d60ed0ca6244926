import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { Shape } from '../client/inference-client.ts';
import { CliError } from './cli-error.ts';
import type { CompressFlags } from './compress.ts';
import type { DoctorFlags } from './doctor.ts';
import type { GoldenFlags } from './golden.ts';
import type { InferFlags } from './infer.ts';
import type { ModelsFlags } from './models.ts';
import type { RolloutFlags, StatusFlags } from './rollout.ts';
import { SETTINGS, type ServeFlags, type SettingDescription, serve } from './serve.ts';
import type { ConnectionOptions } from './server-connection.ts';
import type { ShadowFlags } from './shadow.ts';
import { toOneLine } from './terminal-text.ts';
import type { ValidateFlags } from './validate.ts';

/**
 * Runs one command line.
 * @returns the exit code: 0 done, 1 it could not be done, 2 the command line is wrong
 */
export async function runProgram(args: readonly string[], version: string): Promise<number> {
  let exitCode = 0;
  const program = createProgram(version, args, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // commander has said what is wrong; 0 is the end of --help and --version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (!(error instanceof CliError)) throw error;
    for (const line of error.message.split('\n')) process.stderr.write(`error: ${toOneLine(line)}\n`);
    return 1;
  }
}

const COMPRESS_HELP = `
Each candidate runs in a process of its own. The exit code is 0 where a candidate passed every gate (the one to publish, with
--publish), 1 where none did or it could not be done, 130 after Ctrl-C; then nothing was written.

  tensorgate compress cifar10 --model-repository models --calibrate photos/ --evaluate labelled/ \\
    --to int8,fp16-weights --max-drop 0.5 --min-agreement 0.98 --report out --publish int8`;

/** The commands. Each loads its own code when it runs, and says with `exit` how it ended. */
function createProgram(version: string, args: readonly string[], exit: (code: number) => void): Command {
  const program = new Command('tensorgate')
    .description('A gRPC inference gateway for ONNX models.')
    .version(version)
    // So that `infer --version 2` is the version of a model.
    .enablePositionalOptions()
    .helpCommand(false)
    .exitOverride();

  const settings = SETTINGS.map((setting) => ({ key: setting.key, option: toOption(setting) }));
  /** The settings that a command line names, by their keys. */
  const givenSettings = (command: Command): Record<string, unknown> => {
    const given = settings.filter(({ option }) => command.getOptionValueSource(option.attributeName()) === 'cli');
    return Object.fromEntries(given.map(({ key, option }) => [key, command.getOptionValue(option.attributeName())]));
  };
  const serveCommand = program
    .command('serve')
    .description('Serve the models of a repository over gRPC, until SIGTERM or SIGINT.')
    .option('--config <file>', 'settings in YAML (default: tensorgate.yaml, if it is there)')
    .option('--print-config', 'print each setting, its value and where that comes from, and exit')
    .action(async (flags: ServeFlags, command: Command) => {
      exit(await serve(givenSettings(command), flags, version));
    });

  const doctorCommand = program
    .command('doctor')
    .description('Check whether `serve` with the same options would work here, and say what to do where it would not.')
    .option('--config <file>', 'settings in YAML (default: tensorgate.yaml, if it is there)')
    .option('--json', 'print JSON')
    .action(async (flags: DoctorFlags, command: Command) => {
      const { doctor } = await import('./doctor.ts');
      exit(await doctor(givenSettings(command), flags));
    });
  for (const { option } of settings) {
    serveCommand.addOption(option);
    doctorCommand.addOption(option);
  }

  program
    .command('infer')
    .description('Run a model of a server, and print its answer.')
    .argument('<model>', 'name of the model')
    .addOption(
      new Option(
        '--image <file...>',
        'images, sent at the same time, a request each; prints the best classes of each',
      ).conflicts(['json', 'raw', 'shape']),
    )
    .addOption(
      new Option(
        '--json <file>',
        `a request as the REST protocol has it, or {"input": [[1, 2]]}; '-' is stdin`,
      ).conflicts(['image', 'raw', 'shape']),
    )
    .addOption(
      new Option('--raw <name=file...>', 'raw contents of an input: its elements, little-endian')
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
    .option('--output <name...>', 'outputs to answer with (default: all)')
    .addOption(new Option('--top <k>', 'classes to print of each image').argParser(parseCount).default(1))
    .option('--json-output', 'print images as JSON too, a line each')
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (model: string, flags: InferFlags, command: Command) => {
      if (flags.image === undefined && flags.json === undefined && flags.raw === undefined) {
        command.error('error: nothing to send: give --image FILE, --json FILE or --raw NAME=FILE');
      }
      const { infer } = await import('./infer.ts');
      exit(await infer(model, flags));
    });

  program
    .command('compress')
    .description('Make smaller candidates of a model, and compare them with it: accuracy, agreement, speed, bytes.')
    .argument('<model>', 'name of the model')
    .addOption(repositoryOption())
    .option('--version <number>', 'version to make them of (default: the one that answers requests which name none)')
    .addOption(
      new Option(
        '--to <list>',
        'int8, fp16-weights, rank:N, sparse:P (default: int8 where there is data to calibrate with, else fp16-weights)',
      ).argParser(collectList),
    )
    .addOption(
      new Option(
        '--with <list>',
        'ONNX files of your own that enter the comparison, by the names of the files',
      ).argParser(collectList),
    )
    .addOption(
      new Option('--keep <list>', 'nodes that int8 leaves in float, by the names in the report').argParser(collectList),
    )
    .option(
      '--calibrate <data>',
      'real inputs: a folder of images or of rows that a server recorded, a .npz or a .jsonl file',
    )
    .addOption(new Option('--rows <n>', 'rows of it to calibrate with').argParser(parseCount).default(512))
    .option(
      '--evaluate <data>',
      'inputs whose right answers are known: a folder of images for each class, a .npz with labels, or a .jsonl with label',
    )
    .addOption(
      new Option('--max-drop <points>', 'gate: points of accuracy that may be lost, such as 0.5').argParser(parseReal),
    )
    .addOption(
      new Option('--min-agreement <share>', 'gate: least share of answers that stay the same, such as 0.98').argParser(
        parseShare,
      ),
    )
    .addOption(new Option('--max-bytes <bytes>', 'gate: most bytes, such as 5000000 or 5MB').argParser(parseBytes))
    .option('--report <dir>', 'write report.json, report.html and the candidates there')
    .option('--publish <candidate>', 'make it the next version of the model, without traffic, if it passes the gates')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', COMPRESS_HELP)
    .action(async (model: string, flags: CompressFlags) => {
      const { compressModel } = await import('./compress.ts');
      exit(await compressModel(model, flags, { version, command: `tensorgate ${args.join(' ')}` }));
    });

  const goldenCommand = program
    .command('golden')
    .description('Golden inputs: rows whose answers are known, which a version has to give before it serves.')
    .helpCommand(false);
  goldenCommand
    .command('record')
    .description('Keep what a version answers today, in golden/ beside it.')
    .argument('<model>', 'name of the model')
    .addOption(repositoryOption())
    .option('--version <number>', 'version of the model (default: the one that answers requests which name none)')
    .requiredOption('--data <data>', 'inputs: a folder of images or of recorded rows, a .npz or a .jsonl file')
    .addOption(new Option('--rows <n>', 'rows of it to keep').argParser(parseCount).default(32))
    .option('--replace', 'take the place of golden inputs that are there')
    .action(async (model: string, flags: GoldenFlags) => {
      const { recordGoldenRows } = await import('./golden.ts');
      exit(await recordGoldenRows(model, flags, `tensorgate ${args.join(' ')}`));
    });

  const modelsCommand = program
    .command('models')
    .description('List the models of a server: whether it batches those that are ready, and why others are not.')
    .enablePositionalOptions()
    .option('--json', 'print JSON')
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (flags: ModelsFlags) => {
      const { listModels } = await import('./models.ts');
      exit(await listModels(flags));
    });
  modelsCommand
    .command('shadow')
    .description('Show how the answers of shadow versions compare with those that clients get.')
    .argument('[model]', 'name of a model (default: all)')
    .option('--json', 'print JSON')
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (model: string | undefined, flags: ShadowFlags) => {
      const { showShadows } = await import('./shadow.ts');
      exit(await showShadows(model, flags));
    });
  modelsCommand
    .command('validate')
    .description('Check the models of a repository and their configurations, without serving them.')
    .argument('<directory>', 'the model repository')
    .option('--json', 'print JSON')
    .action(async (directory: string, flags: ValidateFlags) => {
      const { validate } = await import('./validate.ts');
      exit(await validate(directory, flags));
    });

  addRollout(program, exit);
  return program;
}

/** Of `rollout start`, as they are given. */
interface StartFlags extends RolloutFlags {
  readonly hold?: number;
  readonly emit?: 'istio';
  readonly step?: string;
}

function addRollout(program: Command, exit: (code: number) => void): void {
  const rolloutCommand = program
    .command('rollout')
    .description(
      'Take the requests of a model from one version to another, step by step, and back where it does not hold.',
    )
    .usage('<model> --to <version> [options]\n       tensorgate rollout <command> [options]')
    .helpCommand(false)
    .enablePositionalOptions();
  rolloutCommand
    // Its name may be left out; a model that is called like another of these commands needs it.
    .command('start', { isDefault: true })
    .description(
      'Start a rollout, or find the one that runs, and follow it. Ends with 0 where the version was promoted.',
    )
    .argument('<model>', 'name of the model')
    .requiredOption('--to <version>', 'the version that is to answer in the end')
    .addOption(
      new Option('--shadow-share <share>', 'share of the requests that are copied first (default: 10%)').argParser(
        parseShare,
      ),
    )
    .addOption(
      new Option('--comparisons <n>', 'comparisons before it answers anything (default: 200)').argParser(parseCount),
    )
    .addOption(
      new Option('--steps <list>', 'shares that it gets then, in percent (default: 1,10,50,100)').argParser(parseSteps),
    )
    .addOption(
      new Option('--hold <time>', 'what each step lasts at least, such as 30s or 5m (default: 60s)').argParser(
        parseDuration,
      ),
    )
    .addOption(
      new Option('--requests <n>', 'what it answers in each step at least (default: 100)').argParser(parseCount),
    )
    .addOption(
      new Option(
        '--min-agreement <share>',
        "least share of rows that agree (default: from the version's report, or 99%)",
      ).argParser(parseShare),
    )
    .addOption(
      new Option('--max-difference <x>', 'count agreement by the largest difference of two elements instead').argParser(
        parseAmount,
      ),
    )
    .addOption(
      new Option(
        '--max-error-rate <share>',
        'of requests that fail beyond what fails without it (default: 1%)',
      ).argParser(parseShare),
    )
    .addOption(
      new Option(
        '--max-p99-ratio <x>',
        '99th percentile of latency, to that of the version before (default: 1.5)',
      ).argParser(parseAmount),
    )
    .option('--dry-run', 'say what would be done, and change nothing')
    .addOption(
      new Option('--emit <mesh>', 'print the steps as patches for deploy/istio instead; no server is asked')
        .choices(['istio'])
        .conflicts('dryRun'),
    )
    .option('--step <name>', 'of these patches, one alone: shadow, canary-10, promote, rollback')
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (model: string, { hold, emit, step, ...flags }: StartFlags, command: Command) => {
      const rollout = { ...flags, holdMs: hold };
      if (emit !== undefined) {
        const { emitIstio } = await import('./emit-istio.ts');
        exit(emitIstio(model, { ...rollout, ...(step !== undefined && { step }) }));
        return;
      }
      if (step !== undefined) command.error('error: --step is of the patches that --emit istio prints');
      const { rollOut } = await import('./rollout.ts');
      exit(await rollOut(model, rollout));
    });
  rolloutCommand
    .command('status')
    .description('Show how rollouts stand.')
    .argument('[model]', 'name of a model (default: all)')
    .option('--json', 'print JSON')
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (model: string | undefined, flags: StatusFlags) => {
      const { showRollouts } = await import('./rollout.ts');
      exit(await showRollouts(model, flags));
    });
  rolloutCommand
    .command('abort')
    .description('End the rollout that runs: the version before answers all requests again.')
    .argument('<model>', 'name of the model')
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (model: string, flags: ConnectionOptions) => {
      const { abortRollout } = await import('./rollout.ts');
      exit(await abortRollout(model, flags));
    });
  rolloutCommand
    .command('forget')
    .description("Forget the rollout that ended: requests are spread as the model's configuration says.")
    .argument('<model>', 'name of the model')
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (model: string, flags: ConnectionOptions) => {
      const { forgetRollout } = await import('./rollout.ts');
      exit(await forgetRollout(model, flags));
    });
}

function repositoryOption(): Option {
  return new Option('--model-repository <dir>', 'the repository that it lies in')
    .env('TENSORGATE_MODEL_REPOSITORY')
    .makeOptionMandatory();
}

function urlOption(): Option {
  return new Option('--url <host:port>', 'gRPC address of the server').env('TENSORGATE_URL').default('127.0.0.1:8001');
}

function deadlineOption(): Option {
  return new Option('--deadline-ms <ms>', 'what a call may take').argParser(parseCount).default(30_000);
}

/** An option of `serve`. It only shows the variable and the choices: `loadSettings` knows what is legal and what counts. */
function toOption({
  key,
  flag,
  env,
  type,
  list,
  choices = [],
  default: value,
  derivedDefault,
  description,
}: SettingDescription): Option {
  const argument = { boolean: '[true|false]', integer: '<number>', path: '<path>', string: '<text>' }[type];
  const option = new Option(`${flag} ${list ? '<list>' : argument}`, description).env(env);
  if (choices.length > 0) option.choices(choices);
  if (key.startsWith('http2')) option.helpGroup('Limits of the transport h2:');
  if (value !== undefined) option.default(value, String(value) === '' ? 'none' : String(value));
  if (derivedDefault !== undefined) option.default(undefined, derivedDefault.replaceAll('`', ''));
  // A list may also be given by naming the flag several times; what it has before the first is its default, which is no text.
  return option.argParser((text, before: unknown) => (list && typeof before === 'string' ? `${before},${text}` : text));
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It has to be a whole number above 0.');
  return Number(text);
}

/** `0.1` or `10%`. What is legal is known to the server. */
function parseShare(text: string): number {
  const [, digits = '', percent] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text) ?? [];
  const share = percent === '%' ? Number(digits) / 100 : Number(digits);
  if (digits === '' || share > 1) throw new InvalidArgumentError('It has to be a share, such as 0.1 or 10%.');
  return share;
}

function parseAmount(text: string): number {
  if (!/^\d+(\.\d+)?(e-?\d+)?$/i.test(text))
    throw new InvalidArgumentError('It has to be a number that is not negative.');
  return Number(text);
}

function parseSteps(text: string): number[] {
  const steps = text.split(',').map((part) => part.trim().replace(/\s*%$/, ''));
  if (!steps.every((step) => /^\d+(\.\d+)?$/.test(step))) {
    throw new InvalidArgumentError('It has to be ascending percentages, the last of them 100: 1,10,50,100.');
  }
  return steps.map(Number);
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000 };

/** In milliseconds; a number alone is seconds. */
function parseDuration(text: string): number {
  const [, digits, unit = 's'] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('It has to be a time, such as 500ms, 30s or 5m.');
  return Math.round(Number(digits) * (UNITS_MS[unit] ?? 1_000));
}

function parseReal(text: string): number {
  if (!/^\d{1,3}(\.\d+)?$/.test(text)) throw new InvalidArgumentError('It has to be a number from 0, such as 0.5.');
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
  if (number === undefined) throw new InvalidArgumentError('It has to be a number of bytes, such as 5000000 or 5MB.');
  return Math.floor(Number(number) * (UNITS[unit] ?? 1));
}

/** Values that are separated by commas, or come with several flags of one name. */
function collectList(text: string, before: readonly string[] = []): readonly string[] {
  const values = text.split(',').map((value) => value.trim());
  if (values.includes('')) throw new InvalidArgumentError('It has to be names, separated by commas.');
  return [...before, ...values];
}

function splitPair(text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It has to be NAME=VALUE.');
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
