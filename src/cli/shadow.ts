import type { ShadowReport } from '../client/inference-client.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { withClient } from './server-connection.ts';
import { formatTable } from './table.ts';

export interface ShadowFlags extends ConnectionOptions {
  readonly json?: boolean;
}

/**
 * Prints how the answers of shadow versions compare with those that clients got. Returns the exit code.
 * @param model of all models where `undefined`
 */
export async function showShadows(model: string | undefined, flags: ShadowFlags): Promise<number> {
  const reports = await withClient(flags, (client) => client.shadowReports(model ?? ''));
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(reports.map(jsonOf))}\n`);
  } else if (reports.length === 0) {
    process.stderr.write(`no request was copied to a shadow at ${flags.url}\n`);
  } else {
    const titles = [
      'model',
      'primary',
      'shadow',
      'compared',
      'equal',
      'largest difference',
      'same top',
      'mean ms',
      'failed',
      'shed',
    ];
    process.stdout.write(formatTable(titles, reports.map(rowOf)));
  }
  return 0;
}

function rowOf(report: ShadowReport): string[] {
  const { equal, different, incomparable, rowsAgreeing, rowsDisagreeing } = report;
  const compared = equal + different + incomparable;
  return [
    report.model,
    report.primary,
    report.shadow,
    incomparable === 0 ? String(compared) : `${compared} (${incomparable} incomparable)`,
    share(equal, compared),
    `${short(report.maxAbsoluteDifference)} (relative ${short(report.maxRelativeDifference)})`,
    share(rowsAgreeing, rowsAgreeing + rowsDisagreeing),
    `${report.primaryMeanMs.toFixed(1)} / ${report.shadowMeanMs.toFixed(1)}`,
    counts(report.failures),
    counts(report.shed),
  ];
}

/** `99.5 %`; `-` of nothing. Only all is 100 %. */
function share(part: number, whole: number): string {
  if (whole === 0) return '-';
  return `${(Math.floor((1000 * part) / whole) / 10).toFixed(1)} %`;
}

function short(value: number): string {
  return value === 0 || !Number.isFinite(value) ? String(value) : value.toPrecision(2);
}

/** `3 (2 queue_full, 1 internal)` */
function counts(byCause: Readonly<Record<string, number>>): string {
  const entries = Object.entries(byCause).sort(([, a], [, b]) => b - a);
  if (entries.length === 0) return '0';
  const sum = entries.reduce((total, [, count]) => total + count, 0);
  return `${sum} (${entries.map(([cause, count]) => `${count} ${cause}`).join(', ')})`;
}

/** With the names of `proto/tensorgate.proto`. JSON has no infinity: a text says it, as in protobuf's JSON. */
function jsonOf(report: ShadowReport): object {
  const number = (value: number): number | string => (Number.isFinite(value) ? value : String(value));
  return {
    model: report.model,
    primary: report.primary,
    shadow: report.shadow,
    equal: report.equal,
    different: report.different,
    incomparable: report.incomparable,
    max_absolute_difference: number(report.maxAbsoluteDifference),
    max_relative_difference: number(report.maxRelativeDifference),
    rows_agreeing: report.rowsAgreeing,
    rows_disagreeing: report.rowsDisagreeing,
    primary_mean_ms: report.primaryMeanMs,
    shadow_mean_ms: report.shadowMeanMs,
    failures: report.failures,
    shed: report.shed,
  };
}
