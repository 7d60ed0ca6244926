import { type Command, Option } from 'commander';
import { parseDuration, parseLevels, parsePercentile, parseTime, parseWholeLevels } from './bench/level-values.ts';
import type { BenchFlags } from './bench/run-bench.ts';
import type { CommandContext } from './command-context.ts';
import { addConnectionOptions } from './connection-options.ts';
import { parseCount } from './option-values.ts';

export function addBench(program: Command, context: CommandContext): void {
  const bench = program
    .command('bench')
    .description('Send load to a model of a running server, and measure latency and throughput.')
    .argument('<model>', 'name of the model')
    .addOption(
      new Option(
        '--rate <levels>',
        'open loop: calls a second, sent whether or not answers come; 100, 100:2000 (doubles), 100:2000:100 or 10,50',
      )
        .argParser(parseLevels)
        .conflicts('concurrency'),
    )
    .addOption(
      new Option('--concurrency <levels>', 'closed loop: calls under way at a time, in the same forms').argParser(
        parseWholeLevels,
      ),
    )
    .addOption(
      new Option('--arrivals <kind>', 'gaps of an open loop; gamma comes in bursts')
        .choices(['poisson', 'gamma'])
        .default('poisson'),
    )
    .addOption(new Option('--duration <time>', 'time of each level').argParser(parseTime).default(10_000, '10s'))
    .addOption(
      new Option('--warm-up <time>', 'time before each level that does not count')
        .argParser(parseDuration)
        .default(1_000, '1s'),
    )
    .addOption(
      new Option('--slo <time>', 'longest good latency, such as 50ms; ends with 1 if a level misses it').argParser(
        parseTime,
      ),
    )
    .addOption(
      new Option('--percentile <p>', 'percentage of the calls that has to be answered within --slo')
        .argParser(parsePercentile)
        .default(0.99, '99'),
    )
    .option('--data <path>', 'rows to send in turn: images, .npz or .jsonl (default: made up from the metadata)')
    .addOption(
      new Option(
        '--protocol <protocol>',
        'rest needs the HTTP port in --url; rest-binary sends raw tensors (default: rest for http://, otherwise grpc)',
      ).choices(['grpc', 'rest', 'rest-binary']),
    )
    .addOption(
      new Option(
        '--processes <n>',
        'processes that send the load (default: one, and more for a level that is too much for it)',
      ).argParser(parseCount),
    )
    .option('--report <folder>', 'write index.html and results.json to the folder')
    .option('--compare <results>', 'compare with an earlier results.json; ends with 1 if a figure is worse')
    .option('--version <version>', 'version of the model (default: the server chooses)')
    .option('--json', 'print the result as JSON');
  addConnectionOptions(bench).action(async (model: string, flags: BenchFlags, command: Command) => {
    if (flags.rate === undefined && flags.concurrency === undefined) {
      command.error('error: no load: give --rate CALLS_A_SECOND or --concurrency CALLS');
    }
    const { runBench } = await import('./bench/run-bench.ts');
    context.exit(await runBench(model, flags, context));
  });
}
