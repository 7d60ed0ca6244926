/** A result as the terminal shows it. */

import type { BenchResult, Comparison, LevelResult, Slo } from '../../bench/result.ts';
import { goalOf, limitOf, nameOf } from '../../bench/verdict.ts';
import { formatTable } from '../table.ts';

export function formatResult(result: BenchResult): string {
  const { levels, slo, arrivals, comparison } = result;
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
  const lines = [...levels.flatMap(remarks), ...(slo === null ? [] : [sloLine(result, slo)])];
  const text = formatTable(header, levels.map(rowOf)) + lines.map((line) => `${line}\n`).join('');
  return comparison === undefined ? text : text + comparisonText(comparison);
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
function sloLine(result: BenchResult, slo: Slo): string {
  const { met, broken } = limitOf(result);
  const goal = goalOf(slo);
  if (broken === undefined) return `SLO: ${goal}: met at all levels`;
  const verdict = broken.slo?.verdict === 'unknown' ? 'not decided' : 'missed';
  return `SLO: ${goal}: ${met === undefined ? '' : `met up to ${nameOf(met)}, `}${verdict} at ${nameOf(broken)}`;
}

function comparisonText({ source, differences, levels, regressions }: Comparison): string {
  const rows = levels.flatMap((level) =>
    level.figures.map(({ name, before, now, ratio, verdict }) => [
      nameOf(level),
      name,
      milliseconds(before),
      milliseconds(now),
      `${ratio.toFixed(2)}x`,
      verdict,
    ]),
  );
  const table = formatTable(['level', 'figure', 'before', 'now', 'now/before', 'verdict'], rows);
  const remarks = differences.map((text) => `differs: ${text}\n`).join('');
  const none = levels.length === 0 ? 'no level is in both results\n' : '';
  return `\ncompared with ${source}: ${regressions} figure${regressions === 1 ? ' is' : 's are'} worse\n${none}${remarks}${rows.length === 0 ? '' : table}`;
}
