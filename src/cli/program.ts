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
 * @returns the exit code: 0 success, 1 failure, 2 wrong command line
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
    // commander has already printed the problem; 0 is the end of --help and --version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (!(error instanceof CliError)) throw error;
    for (const line of error.message.split('\n')) process.stderr.write(`error: ${toOneLine(line)}\n`);
    return 1;
  }
}

const COMPRESS_HELP = `
Each candidate runs in its own process. Exit codes: 0 when a candidate passed every gate (with --publish: the published one),
1 when no candidate passed or the command failed, 130 after Ctrl-C (nothing was written).

  tensorgate compress cifar10 --model-repository models --calibrate photos/ --evaluate labelled/ \\
    --to int8,fp16-weights --max-drop 0.5 --min-agreement 0.98 --report out --publish int8`;

/** Creates the commands. Each loads its own code when it runs, so that `--help` is fast, and reports its exit code to `exit`. */
function createProgram(version: string, args: readonly string[], exit: (code: number) => void): Command {
  const program = new Command('tensorgate')
    .description('A gRPC inference gateway for ONNX models.')
    .version(version)
    // Makes `infer --version 2` the version of a model.
    .enablePositionalOptions()
    .helpCommand(false)
    .exitOverride();

  const settings = SETTINGS.map((setting) => ({ key: setting.key, option: toOption(setting) }));
  /** The settings on the command line, by key. */
  const givenSettings = (command: Command): Record<string, unknown> => {
    const given = settings.filter(({ option }) => command.getOptionValueSource(option.attributeName()) === 'cli');
    return Object.fromEntries(given.map(({ key, option }) => [key, command.getOptionValue(option.attributeName())]));
  };
  const serveCommand = program
    .command('serve')
    .description('Serve the models of a repository over gRPC and REST, until SIGTERM or SIGINT.')
    .option('--config <file>', 'settings file in YAML (default: tensorgate.yaml, if it exists)')
    .option('--print-config', 'print every setting with its value and source, and exit')
    .action(async (flags: ServeFlags, command: Command) => {
      exit(await serve(givenSettings(command), flags, version));
    });

  const doctorCommand = program
    .command('doctor')
    .description(
      'Check whether `serve` with the same options would work on this machine, and how to fix what would fail.',
    )
    .option('--config <file>', 'settings file in YAML (default: tensorgate.yaml, if it exists)')
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
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (model: string, flags: InferFlags, command: Command) => {
      if (flags.image === undefined && flags.json === undefined && flags.raw === undefined) {
        command.error('error: no input: give --image FILE, --json FILE or --raw NAME=FILE');
      }
      const { infer } = await import('./infer.ts');
      exit(await infer(model, flags));
    });

  program
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
    .addOption(
      new Option('--max-drop <points>', 'gate: maximum loss of accuracy in points, such as 0.5').argParser(parseReal),
    )
    .addOption(
      new Option('--min-agreement <share>', 'gate: minimum share of unchanged answers, such as 0.98').argParser(
        parseShare,
      ),
    )
    .addOption(
      new Option('--max-bytes <bytes>', 'gate: maximum size of the model, such as 5000000 or 5MB').argParser(
        parseBytes,
      ),
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
      exit(await compressModel(model, flags, { version, command: `tensorgate ${args.join(' ')}` }));
    });

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
      exit(await recordGoldenRows(model, flags, `tensorgate ${args.join(' ')}`));
    });

  const modelsCommand = program
    .command('models')
    .description('List the models of a server with their state: how ready models batch, and why others are not ready.')
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
    .description('Compare the answers of shadow versions with the answers that clients get.')
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
    .description('Check the models and configurations of a repository without serving them.')
    .argument('<directory>', 'model repository')
    .option('--json', 'print JSON')
    .action(async (directory: string, flags: ValidateFlags) => {
      const { validate } = await import('./validate.ts');
      exit(await validate(directory, flags));
    });

  addRollout(program, exit);
  return program;
}

/** Flags of `rollout start`. */
interface StartFlags extends RolloutFlags {
  readonly hold?: number;
  readonly emit?: 'istio';
  readonly step?: string;
}

function addRollout(program: Command, exit: (code: number) => void): void {
  const rolloutCommand = program
    .command('rollout')
    .description("Move a model's traffic to a new version in steps; roll back automatically when checks fail.")
    .usage('<model> --to <version> [options]\n       tensorgate rollout <command> [options]')
    .helpCommand(false)
    .enablePositionalOptions();
  rolloutCommand
    // `start` may be omitted, except for a model named like another of these commands.
    .command('start', { isDefault: true })
    .description(
      'Start a rollout, or attach to the running one, and follow it. Exits with 0 when the version is promoted.',
    )
    .argument('<model>', 'name of the model')
    .requiredOption('--to <version>', 'new version')
    .addOption(
      new Option(
        '--shadow-share <share>',
        'share of requests copied to it before it gets traffic (default: 10%)',
      ).argParser(parseShare),
    )
    .addOption(
      new Option('--comparisons <n>', 'comparisons before it gets traffic (default: 200)').argParser(parseCount),
    )
    .addOption(
      new Option('--steps <list>', 'its share of traffic per step, in percent (default: 1,10,50,100)').argParser(
        parseSteps,
      ),
    )
    .addOption(
      new Option('--hold <time>', 'minimum duration of a step, such as 30s or 5m (default: 60s)').argParser(
        parseDuration,
      ),
    )
    .addOption(
      new Option('--requests <n>', 'minimum of requests that it answers per step (default: 100)').argParser(parseCount),
    )
    .addOption(
      new Option(
        '--min-agreement <share>',
        "minimum share of agreeing rows (default: from the version's report, or 99%)",
      ).argParser(parseShare),
    )
    .addOption(
      new Option(
        '--max-difference <x>',
        'rows agree when no element differs by more than this, instead of by the largest element',
      ).argParser(parseAmount),
    )
    .addOption(
      new Option(
        '--max-error-rate <share>',
        'maximum error rate above the error rate of the old version (default: 1%)',
      ).argParser(parseShare),
    )
    .addOption(
      new Option(
        '--max-p99-ratio <x>',
        'maximum ratio of its 99th percentile of latency to that of the old version (default: 1.5)',
      ).argParser(parseAmount),
    )
    .option('--dry-run', 'print the plan and change nothing')
    .addOption(
      new Option('--emit <mesh>', 'print the steps as patches for deploy/istio instead, without a server')
        .choices(['istio'])
        .conflicts('dryRun'),
    )
    .option('--step <name>', 'with --emit, print only this patch: shadow, canary-10, promote, rollback')
    .addOption(urlOption())
    .addOption(deadlineOption())
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
    });
  rolloutCommand
    .command('status')
    .description('Show the state of rollouts.')
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
    .description('Abort the running rollout: all traffic returns to the old version.')
    .argument('<model>', 'name of the model')
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (model: string, flags: ConnectionOptions) => {
      const { abortRollout } = await import('./rollout.ts');
      exit(await abortRollout(model, flags));
    });
  rolloutCommand
    .command('forget')
    .description("Remove a finished rollout: the model's configuration decides the traffic again.")
    .argument('<model>', 'name of the model')
    .addOption(urlOption())
    .addOption(deadlineOption())
    .action(async (model: string, flags: ConnectionOptions) => {
      const { forgetRollout } = await import('./rollout.ts');
      exit(await forgetRollout(model, flags));
    });
}

function repositoryOption(): Option {
  return new Option('--model-repository <dir>', 'model repository')
    .env('TENSORGATE_MODEL_REPOSITORY')
    .makeOptionMandatory();
}

function urlOption(): Option {
  return new Option('--url <host:port>', 'gRPC address of the server').env('TENSORGATE_URL').default('127.0.0.1:8001');
}

function deadlineOption(): Option {
  return new Option('--deadline-ms <ms>', 'deadline of each call').argParser(parseCount).default(30_000);
}

/** An option of `serve`. It only shows the variable and the choices: `loadSettings` validates and merges the sources. */
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
  // A repeated flag extends its list. Before the first flag, `before` is the default, which is no text.
  return option.argParser((text, before: unknown) => (list && typeof before === 'string' ? `${before},${text}` : text));
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Expected a whole number above 0.');
  return Number(text);
}

/** Parses `0.1` or `10%`. The server validates the range. */
function parseShare(text: string): number {
  const [, digits = '', percent] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text) ?? [];
  const share = percent === '%' ? Number(digits) / 100 : Number(digits);
  if (digits === '' || share > 1) throw new InvalidArgumentError('Expected a share, such as 0.1 or 10%.');
  return share;
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
