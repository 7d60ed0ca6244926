/** One comparison from its contenders to its report. */

import { DYNAMIC_REMEDY, quantizesDynamically } from '../compress/dynamic-quantization.ts';
import { REPORT_SCHEMA } from '../gateway/repository/version-report.ts';
import type { ClassOutput } from './class-output.ts';
import type { Contender } from './contender.ts';
import type { Embedding } from './embedding.ts';
import { evaluate } from './evaluation.ts';
import { type GateLimits, judge } from './gates.ts';
import { describeMachine, loadAverage } from './machine.ts';
import type { Gate, ModelReport, Report, RowIndependence } from './report.ts';
import { checkRows } from './row-check.ts';
import { type Dataset, ofOneShape, type Sample, spread } from './sample.ts';
import { measureSpeed } from './speed.ts';
import type { Target } from './target.ts';

/** Progress for people, such as `evaluate`, 3200 of 10000 rows. */
export type Progress = (what: string, done: number, total: number) => void;

export interface Comparison {
  readonly target: Target;
  /** The base first. */
  readonly contenders: readonly Contender[];
  readonly classes: ClassOutput | undefined;
  /** `undefined` where no output is a vector of each row. */
  readonly embedding?: Embedding | undefined;
  readonly data: Dataset;
  readonly dataKind: Report['data']['kind'];
  readonly calibration: Report['calibration'];
  readonly notMade: Report['notMade'];
  readonly limits: GateLimits;
  readonly operatorsOf: (contender: Contender) => Promise<Readonly<Record<string, number>>>;
  readonly tensorgate: string;
  /** As it was typed. */
  readonly command: string;
}

/** Unlike rows on which their independence is looked at. */
const ROWS_CHECKED = 64;

/** @throws DataError, RunError where the base does not answer, or the signal's reason */
export async function compare(comparison: Comparison, signal: AbortSignal, progress: Progress): Promise<Report> {
  const { target, contenders, classes, data } = comparison;
  const loadBefore = loadAverage();
  const qualities = await evaluate(contenders, data, {
    classes,
    embedding: comparison.embedding,
    signal,
    progress: (done) => progress('comparing answers', done, data.count),
  });
  const samples = await readAll(spread(data, ROWS_CHECKED));
  const rows = [];
  for (const [index, contender] of contenders.entries()) {
    signal.throwIfAborted();
    progress('checking rows', index, contenders.length);
    rows.push(await checkRows(contender, samples));
  }
  // Who could not answer would only end the measuring of the others.
  const able = contenders.filter((_, index) => (qualities[index]?.failed ?? 0) === 0);
  const measured = await measureSpeed(
    able,
    ofOneShape(samples).map(({ tensors }) => tensors),
    {
      signal,
      progress: (done, total) => progress('measuring speed', done, total),
    },
  );
  const reports: Omit<ModelReport, 'gates' | 'passed'>[] = [];
  for (const [index, contender] of contenders.entries()) {
    signal.throwIfAborted();
    progress('looking into the graphs', index, contenders.length);
    const { source, sha256, bytes, session } = contender;
    const quality = qualities[index];
    const rowIndependence = rows[index];
    if (quality === undefined || rowIndependence === undefined) throw new TypeError(`no findings of ${source.name}`);
    const operators = { ...(await comparison.operatorsOf(contender)) };
    reports.push({
      name: source.name,
      kind: source.kind,
      steps: [...source.steps],
      sha256,
      bytes,
      quality,
      rowIndependence: explained(rowIndependence, operators),
      ...speedOf(measured[able.indexOf(contender)]),
      loadMs: session.loadMs,
      memoryBytes: await session.memory(),
      operators,
    });
  }
  const [base, ...candidates] = reports;
  if (base === undefined) throw new TypeError('a comparison without a base');
  return {
    schema: REPORT_SCHEMA,
    created: new Date().toISOString(),
    tensorgate: comparison.tensorgate,
    command: comparison.command,
    machine: describeMachine(loadBefore),
    model: {
      name: target.folder.name,
      version: target.version,
      output: comparison.embedding?.output ?? classes?.name ?? contenders[0]?.signature.outputs[0]?.name ?? '',
      classes: [...(classes?.names ?? [])],
    },
    ...(comparison.calibration !== undefined && { calibration: comparison.calibration }),
    data: { source: data.source, rows: data.count, kind: comparison.dataKind },
    base: withGates(base, []),
    candidates: candidates.map((candidate) => withGates(candidate, judge(candidate, base, comparison.limits))),
    notMade: [...comparison.notMade],
  };
}

/** The reason why rows depend on each other names dynamic quantization where that is to blame. */
function explained(rows: RowIndependence, operators: Readonly<Record<string, number>>): RowIndependence {
  if (rows.verdict !== 'dependent' || !Object.keys(operators).some(quantizesDynamically)) return rows;
  return { ...rows, reason: rows.reason === undefined ? DYNAMIC_REMEDY : `${rows.reason}; ${DYNAMIC_REMEDY}` };
}

function withGates(report: Omit<ModelReport, 'gates' | 'passed'>, gates: Gate[]): ModelReport {
  return { ...report, gates, passed: gates.every(({ passed }) => passed) };
}

function speedOf(measured: Awaited<ReturnType<typeof measureSpeed>>[number] | undefined) {
  const { speed = [], latency = { runs: 0, p50Ms: 0, p99Ms: 0 } } = measured ?? {};
  return { speed: [...speed], latency };
}

async function readAll(dataset: Dataset): Promise<Sample[]> {
  return Promise.all(Array.from({ length: dataset.count }, (_, index) => dataset.read(index)));
}
