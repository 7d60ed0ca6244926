import os from 'node:os';
import type { Arrivals } from '../../bench/arrivals.ts';
import type { TargetAddress, TargetModel } from '../../bench/call-target.ts';
import { type Level, runLevel } from '../../bench/level.ts';
import { type BenchResult, type LevelResult, RESULT_SCHEMA } from '../../bench/result.ts';
import type { CommandContext } from '../command-context.ts';
import type { ConnectionOptions } from '../connection-options.ts';
import { parseServerAddress } from '../server-address.ts';
import { readTlsFiles, withClient } from '../server-connection.ts';
import { type BenchServer, grpcServer } from './bench-server.ts';
import { formatResult, nameOf } from './bench-table.ts';
import { openInputs } from './inputs.ts';
import { restServer } from './rest-server.ts';

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
  readonly protocol: BenchResult['protocol'];
  readonly version?: string;
  readonly json?: boolean;
}

/** Measures a model at each level of load and prints the result. Returns the exit code: 1 where a level misses the SLO. */
export async function runBench(name: string, flags: BenchFlags, context: CommandContext): Promise<number> {
  const model = { name, version: flags.version ?? '' };
  const result = await withServer(model, flags, (server) => measure(server, model, flags, context));
  process.stdout.write(flags.json === true ? `${JSON.stringify(result)}\n` : formatResult(result));
  return result.levels.every(isGood) ? 0 : 1;
}

function isGood({ slo, answered }: LevelResult): boolean {
  return slo === undefined ? answered > 0 : slo.verdict === 'met';
}

async function withServer(
  model: TargetModel,
  flags: BenchFlags,
  work: (server: BenchServer) => Promise<BenchResult>,
): Promise<BenchResult> {
  const address = await addressOf(flags);
  const run = async (server: BenchServer): Promise<BenchResult> => {
    using _target = server.target;
    return await work(server);
  };
  if (flags.protocol === 'grpc') {
    return withClient(flags, async (client) => run(await grpcServer(client, address, model)));
  }
  const form = flags.protocol === 'rest' ? 'json' : 'binary';
  return run(await restServer(address, model, form, flags.deadlineMs));
}

async function addressOf(flags: BenchFlags): Promise<TargetAddress> {
  const tls = await readTlsFiles(flags);
  const { host, port, target, isSecure } = parseServerAddress(flags.url, tls !== undefined);
  return { host, port, target, tls: isSecure ? (tls ?? {}) : undefined, headers: flags.header ?? {} };
}

async function measure(
  server: BenchServer,
  model: TargetModel,
  flags: BenchFlags,
  { version: program, typed }: CommandContext,
): Promise<BenchResult> {
  const { arrivals, duration: durationMs, warmUp: warmUpMs, deadlineMs, slo: sloMs, percentile } = flags;
  const slo = sloMs === undefined ? undefined : { ms: sloMs, share: percentile };
  const { source, calls } = await openInputs(server, flags.data, deadlineMs);
  const levels: LevelResult[] = [];
  for (const level of levelsOf(flags)) {
    const result = await runLevel(level, {
      ...{ calls, warmUpMs, durationMs, deadlineMs, slo },
      counters: server.counters,
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
    protocol: flags.protocol,
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
