import os from 'node:os';
import type { Arrivals } from '../../bench/arrivals.ts';
import type { TargetAddress, TargetModel } from '../../bench/call-target.ts';
import { compareResults } from '../../bench/comparison.ts';
import { runLevel } from '../../bench/level.ts';
import type { Level } from '../../bench/load-sender.ts';
import type { BenchProtocol } from '../../bench/open-target.ts';
import { type BenchResult, type LevelResult, RESULT_FILE, RESULT_SCHEMA } from '../../bench/result.ts';
import { nameOf } from '../../bench/verdict.ts';
import type { CommandContext } from '../command-context.ts';
import type { ConnectionOptions } from '../connection-options.ts';
import { checkReportFolder } from '../report-folder.ts';
import { parseServerAddress } from '../server-address.ts';
import { readTlsFiles, withClient } from '../server-connection.ts';
import { readBenchResult, writeBenchReport } from './bench-report.ts';
import { type BenchServer, grpcServer } from './bench-server.ts';
import { formatResult } from './bench-table.ts';
import { openInputs } from './inputs.ts';
import { restServer } from './rest-server.ts';
import { Senders } from './senders.ts';

/** The options of `bench`; one of `rate` and `concurrency` is there. Times are in milliseconds. */
export interface BenchFlags extends ConnectionOptions {
  readonly rate?: readonly number[];
  readonly concurrency?: readonly number[];
  readonly arrivals: Arrivals;
  readonly duration: number;
  readonly warmUp: number;
  readonly slo?: number;
  /** Share of the calls. */
  readonly percentile: number;
  readonly data?: string;
  readonly protocol?: BenchProtocol;
  /** Processes that send; absent: as many as it takes. */
  readonly processes?: number;
  readonly report?: string;
  readonly compare?: string;
  readonly version?: string;
  readonly json?: boolean;
}

/**
 * Measures a model at each level of load and prints the result. Returns the exit code: 1 where a level misses the SLO, or is worse than
 * the level of the earlier result.
 */
export async function runBench(name: string, flags: BenchFlags, context: CommandContext): Promise<number> {
  const { report, compare } = flags;
  const model = { name, version: flags.version ?? '' };
  if (report !== undefined) await checkReportFolder(report, RESULT_FILE);
  const before = compare === undefined ? undefined : await readBenchResult(compare);
  const measured = await withServer(model, flags, (server, address) => {
    return measure(server, address, model, flags, context);
  });
  const comparison = before && compareResults(before, measured, compare ?? '');
  const result = { ...measured, ...(comparison && { comparison }) };
  process.stdout.write(flags.json === true ? `${JSON.stringify(result)}\n` : formatResult(result));
  if (report !== undefined) await writeBenchReport(report, result);
  return result.levels.every(isGood) && (comparison?.regressions ?? 0) === 0 ? 0 : 1;
}

function isGood({ slo, answered }: LevelResult): boolean {
  return slo === undefined ? answered > 0 : slo.verdict === 'met';
}

/** `http://` and `https://` mean REST, unless the protocol is named. */
function protocolOf({ protocol, url }: BenchFlags): BenchProtocol {
  return protocol ?? (/^https?:/i.test(url) ? 'rest' : 'grpc');
}

async function withServer(
  model: TargetModel,
  flags: BenchFlags,
  work: (server: BenchServer, address: TargetAddress) => Promise<BenchResult>,
): Promise<BenchResult> {
  const protocol = protocolOf(flags);
  const address = await addressOf(flags);
  const run = async (server: BenchServer): Promise<BenchResult> => {
    using _target = server.target;
    return await work(server, address);
  };
  if (protocol === 'grpc') {
    return withClient(flags, async (client) => run(await grpcServer(client, address, model)));
  }
  const form = protocol === 'rest' ? 'json' : 'binary';
  return run(await restServer(address, model, form, flags.deadlineMs));
}

async function addressOf(flags: BenchFlags): Promise<TargetAddress> {
  const tls = await readTlsFiles(flags);
  const { host, port, target, isSecure } = parseServerAddress(flags.url, tls !== undefined);
  return { host, port, target, tls: isSecure ? (tls ?? {}) : undefined, headers: flags.header ?? {} };
}

async function measure(
  server: BenchServer,
  address: TargetAddress,
  model: TargetModel,
  flags: BenchFlags,
  { version: program, typed }: CommandContext,
): Promise<BenchResult> {
  const { arrivals, duration: durationMs, warmUp: warmUpMs, deadlineMs, slo: sloMs, percentile } = flags;
  const slo = sloMs === undefined ? undefined : { ms: sloMs, share: percentile };
  const protocol = protocolOf(flags);
  const { source, rows, calls } = await openInputs(server, flags.data, deadlineMs);
  using senders = new Senders({ protocol, address, model, rows }, calls, flags.processes);
  const levels: LevelResult[] = [];
  for (const level of levelsOf(flags)) {
    const result = await senders.run((sender) => {
      return runLevel(level, { sender, warmUpMs, durationMs, deadlineMs, slo, counters: server.counters });
    });
    levels.push(result);
    if (process.stderr.isTTY === true) process.stderr.write(`${nameOf(result)} is measured\n`);
  }
  return {
    schema: RESULT_SCHEMA,
    tensorgate: program,
    created: new Date().toISOString(),
    command: typed,
    model: model.name,
    version: model.version,
    url: flags.url,
    protocol,
    arrivals: flags.rate === undefined ? null : arrivals,
    data: { source, rows: calls.length },
    ...{ durationMs, warmUpMs, deadlineMs },
    slo: slo ?? null,
    machine: {
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
      cores: os.availableParallelism(),
      system: `${os.type()} ${os.release()} ${process.arch}`,
      node: process.versions.node,
    },
    levels,
  };
}

function levelsOf({ rate, concurrency = [], arrivals }: BenchFlags): Level[] {
  if (rate !== undefined) return rate.map((ratePerS) => ({ kind: 'open', ratePerS, arrivals }));
  return concurrency.map((calls) => ({ kind: 'closed', concurrency: calls }));
}
