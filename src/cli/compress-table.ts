import { styleText } from 'node:util';
import type { EmbeddingQuality, ModelReport, Quality, Report } from '../compare/report.ts';
import { formatTable } from './table.ts';
import { toOneLine } from './terminal-text.ts';

/** The result of a comparison for a terminal: a row for each model, and why candidates failed. */
export function formatOutcome(report: Report): string {
  const { base, candidates, data, notMade } = report;
  const batches = base.speed.map(({ batch }) => batch);
  const isEmbedding = base.quality.embedding !== undefined;
  const header = [
    'model',
    ...(isEmbedding ? ['cosine (worst)', 'neighbours'] : ['accuracy', 'agreement']),
    'bytes',
    ...batches.map((batch) => `rows/s at ${batch}`),
    'rows',
    '',
  ];
  const table = formatTable(
    header,
    [base, ...candidates].map((model) => rowOf(model, batches)),
  );
  const on = {
    labelled: 'labelled',
    'held-out': 'not calibrated on',
    calibration: 'calibrated on',
    'made-up': 'made up',
  };
  const judged = `judged on ${data.rows} rows of ${data.source} (${on[data.kind]}); base: ${report.model.name} version ${report.model.version}\n`;
  const failed = candidates.flatMap(({ name, gates }) =>
    gates.filter(({ passed }) => !passed).map(({ gate, reason }) => `${name} failed ${gate}: ${reason}`),
  );
  const missing = notMade.map(({ name, reason }) => `${name} was not made: ${reason}`);
  const lines = [...failed, ...missing].map((line) => `${styleText('red', toOneLine(line))}\n`);
  return table + judged + lines.join('');
}

function rowOf(
  { kind, name, quality, bytes, speed, passed, rowIndependence }: ModelReport,
  batches: readonly number[],
): string[] {
  const isBase = kind === 'base';
  return [
    name,
    ...(quality.embedding === undefined ? answersOf(quality, isBase) : vectorsOf(quality.embedding, isBase)),
    String(bytes),
    ...batches.map((batch) => {
      const found = speed.find((each) => each.batch === batch);
      if (found === undefined) return '-';
      const rate = String(Math.round(found.itemsPerSecond.median));
      return isBase ? rate : `${rate} (${found.ratio.median.toFixed(1)}x)`;
    }),
    rowIndependence.verdict,
    isBase ? '' : passed ? 'passed' : 'failed',
  ];
}

function answersOf({ accuracy, agreement }: Quality, isBase: boolean): string[] {
  return [accuracy === undefined ? '-' : percent(accuracy), isBase ? '' : percent(agreement)];
}

/** The worst is of a hundred. */
function vectorsOf({ meanCosine, worstCosine, neighboursKept }: EmbeddingQuality, isBase: boolean): string[] {
  return isBase ? ['', ''] : [`${meanCosine.toFixed(4)} (${worstCosine.toFixed(4)})`, percent(neighboursKept)];
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}
