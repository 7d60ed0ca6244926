/** A result as the terminal shows it. */

import type { BenchResult, LevelResult } from '../../bench/result.ts';
import { formatTable } from '../table.ts';

/** `rate 200/s` or `concurrency 4`. */
export function nameOf({ ratePerS, concurrency }: LevelResult): string {
  return ratePerS === undefined ? `concurrency ${concurrency}` : `rate ${ratePerS}/s`;
}

export function formatResult(result: BenchResult): string {
  const { levels, slo, arrivals } = result;
  const header = [
    arrivals === null ? 'concurrency' : 'rate/s',
    'calls',
    'answered/s',
    ...(slo === null ? [] : [`within ${slo.ms} ms/s`]),
    'p50 ms',
    'p90 ms',
    'p99 ms',
    'max ms',
    'failed',
    'rows/batch',
    'queue ms',
    'run ms',
    ...(slo === null ? [] : ['SLO']),
  ];
  const lines = [...levels.flatMap(remarks), ...(slo === null ? [] : [sloLine(result)])];
  return formatTable(header, levels.map(rowOf)) + lines.map((line) => `${line}\n`).join('');
}

function rowOf(level: LevelResult): string[] {
  const { ratePerS, concurrency, calls, answered, answeredPerS, goodputPerS, latencyMs, slo, server } = level;
  return [
    String(ratePerS ?? concurrency),
    String(calls),
    answeredPerS.toFixed(1),
    ...(goodputPerS === undefined ? [] : [goodputPerS.toFixed(1)]),
    ...[latencyMs?.p50, latencyMs?.p90, latencyMs?.p99, latencyMs?.max].map(milliseconds),
    String(calls - answered),
    server?.rowsPerBatch?.toFixed(1) ?? '-',
    milliseconds(server?.queueMs),
    milliseconds(server?.inferMs),
    ...(slo === undefined ? [] : [slo.verdict]),
  ];
}

function milliseconds(value: number | undefined): string {
  if (value === undefined) return '-';
  return value < 10 ? value.toFixed(2) : value.toFixed(1);
}

function remarks(level: LevelResult): string[] {
  const { client, failures, firstFailure } = level;
  const lines: string[] = [];
  if (client.bottleneck !== undefined) {
    lines.push(`${nameOf(level)}: no latency, because the client machine is the bottleneck: ${client.bottleneck}`);
  }
  if (firstFailure !== undefined) {
    const counts = Object.entries(failures).map(([status, count]) => `${count} ${status}`);
    lines.push(`${nameOf(level)}: failed: ${counts.join(', ')}; first: ${firstFailure}`);
  }
  if (level.calls === 0)
    lines.push(`${nameOf(level)}: no call ended within the time of the level: use a longer --duration`);
  return lines;
}

/** `SLO: 99 % of the calls within 50 ms: met up to rate 400/s, missed at rate 800/s` */
function sloLine({ levels, slo }: BenchResult): string {
  const goal = `${Number(((slo?.share ?? 0) * 100).toFixed(3))} % of the calls within ${slo?.ms} ms`;
  const bad = levels.findIndex((level) => level.slo?.verdict !== 'met');
  const [first, before] = [levels[bad], levels[bad - 1]];
  if (first === undefined) return `SLO: ${goal}: met at all levels`;
  const verdict = first.slo?.verdict === 'unknown' ? 'not decided' : 'missed';
  return `SLO: ${goal}: ${before === undefined ? '' : `met up to ${nameOf(before)}, `}${verdict} at ${nameOf(first)}`;
}
