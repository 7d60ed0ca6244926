/**
 * `report.json`: all that a comparison found, for programs. `schema/report.schema.json` is made of it, and the page for people
 * shows it. A field is only ever added; what changes a meaning changes `schema`.
 */

import { z } from 'zod';
import { PUBLISHED, REPORT_SCHEMA } from '../gateway/repository/version-report.ts';

const share = z.number().min(0).max(1);
const count = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** A value that was measured several times. */
const SPREAD = z.strictObject({ median: z.number(), min: z.number(), max: z.number() });

const ANSWER = z.strictObject({
  class: count.describe('The place of the largest element.'),
  name: z.string().optional().describe('Its label.'),
  value: z.number().describe('That element.'),
});

const FLIP = z.strictObject({
  row: count.describe('In the data, from 0.'),
  name: z.string().describe('The file, or the file and line, that it is from.'),
  label: z.string().optional().describe('The right answer.'),
  base: ANSWER,
  candidate: ANSWER,
});

const EMBEDDING = z.strictObject({
  output: z.string().describe('The output that is a vector of each row, or becomes one by pooling.'),
  meanCosine: z.number().min(-1).max(1).describe('Mean cosine of the vectors of candidate and base.'),
  worstCosine: z.number().min(-1).max(1).describe('Cosine that 99 of 100 rows have at least.'),
  neighbours: count.describe('Nearest rows of a row that count as its neighbours.'),
  neighboursKept: share.describe('Share of the neighbours in the base that are neighbours in the candidate.'),
});

const QUALITY = z.strictObject({
  rows: count.describe('Rows that base and candidate both answered.'),
  failed: count.describe('Rows that the candidate could not answer.'),
  failure: z.string().optional().describe('Why, of the first of them.'),
  accuracy: share.optional().describe('Share of right answers, if the data has labels.'),
  perClass: z.array(share.nullable()).optional().describe('The same by class; null where no row has it.'),
  agreement: share.describe(
    'Share of rows whose largest element has the same place as in the base. Of outputs that have no classes: of rows whose elements differ by at most 5 % of the largest magnitude of the base.',
  ),
  embedding: EMBEDDING.optional().describe('Only of models whose output is a vector of each row.'),
  flips: z
    .strictObject({ count, shown: z.array(FLIP) })
    .describe('Rows that are answered differently; some from all over them.'),
  maxAbs: z.number().min(0).describe('Largest difference of an element from the base.'),
  meanAbs: z.number().min(0).describe('Mean difference.'),
});

const ROWS = z.strictObject({
  verdict: z
    .enum(['independent', 'dependent', 'unbatched'])
    .describe(
      'Whether the answer to a row is the same whatever is beside it; `unbatched`: the model takes one request a run.',
    ),
  rows: count.describe('Rows of the data that ran separately and together with different rows of their shape.'),
  max: z.number().min(0).describe('Largest change of an element by its neighbours.'),
  changed: count.describe('Rows whose largest element moved.'),
  reason: z.string().optional(),
});

const SPEED = z.strictObject({
  batch: z.int().min(1),
  itemsPerSecond: SPREAD.describe('Rows a second of one thread, inside ONNX Runtime.'),
  ratio: SPREAD.describe('To the base in the same round.'),
});

const LATENCY = z.strictObject({
  runs: count.describe('Runs of one row.'),
  p50Ms: z.number(),
  p99Ms: z.number(),
});

const GATE = z.strictObject({
  gate: z.enum(['runs', 'rows', 'max-drop', 'min-agreement', 'min-cosine', 'min-neighbours', 'max-bytes']),
  passed: z.boolean(),
  reason: z.string().describe('The expected and the actual value.'),
});

const MODEL = z.strictObject({
  name: z.string(),
  kind: z.enum(['base', 'technique', 'file']),
  steps: z.array(z.string()).describe('The steps that made it.'),
  sha256: sha256.describe('SHA-256 of the ONNX file.'),
  bytes: count.describe('Size of the file and its external data.'),
  quality: QUALITY,
  rowIndependence: ROWS,
  speed: z.array(SPEED),
  latency: LATENCY,
  loadMs: z.number().describe('Time from the load order to the open session, in a process that had already started.'),
  memoryBytes: count.describe('Memory of the process after the largest batch.'),
  operators: z.record(z.string(), count).describe('Nodes of the graph that ran, by kind, as ONNX Runtime fused them.'),
  gates: z.array(GATE),
  passed: z.boolean().describe('Whether it passed every gate. Of the base: whether it ran.'),
});

const MACHINE = z.strictObject({
  cpu: z.string(),
  cores: count,
  instructionSet: z.string().describe('Class of integer arithmetic, such as `x64 avx512-vnni`.'),
  flags: z.array(z.string()),
  memoryBytes: count,
  system: z.string(),
  node: z.string(),
  onnxRuntime: z.string(),
  threads: z.int().min(1).describe('Threads of each session.'),
  loadAverage: z.tuple([z.number(), z.number()]).describe('Load average of the machine, before and after measuring.'),
});

const DATA = z.strictObject({
  source: z.string(),
  rows: count,
  kind: z
    .enum(['labelled', 'held-out', 'calibration', 'made-up'])
    .describe('`held-out`: rows of the calibration data that nothing was calibrated on; `made-up`: random values.'),
});

export const REPORT = z.strictObject({
  schema: z.literal(REPORT_SCHEMA),
  created: z.iso.datetime(),
  tensorgate: z.string().describe('Its version.'),
  command: z.string(),
  machine: MACHINE,
  model: z.strictObject({
    name: z.string(),
    version: z.string().describe('Version of the base.'),
    output: z.string().describe('The output that is compared by classes, or the first one.'),
    classes: z.array(z.string()).describe('Labels of that output, where they are known; empty otherwise.'),
  }),
  calibration: z.strictObject({ source: z.string(), rows: count }).optional(),
  data: DATA.describe('What quality was judged on.'),
  base: MODEL,
  candidates: z.array(MODEL),
  notMade: z
    .array(z.strictObject({ name: z.string(), reason: z.string() }))
    .describe('Techniques that found nothing to do in the model, or whose result does not load.'),
  published: PUBLISHED.optional().describe('Only in the report beside a published version.'),
});

export type Report = Readonly<z.output<typeof REPORT>>;
export type ModelReport = Report['base'];
export type Quality = z.output<typeof QUALITY>;
export type EmbeddingQuality = z.output<typeof EMBEDDING>;
export type Flip = z.output<typeof FLIP>;
export type RowIndependence = z.output<typeof ROWS>;
export type Speed = z.output<typeof SPEED>;
export type Spread = z.output<typeof SPREAD>;
export type Latency = z.output<typeof LATENCY>;
export type Gate = z.output<typeof GATE>;
export type Machine = z.output<typeof MACHINE>;

/** `schema/report.schema.json`. A test holds the two together. */
export function reportSchema(): object {
  return {
    ...z.toJSONSchema(REPORT, { io: 'output' }),
    title: 'report.json',
    description: 'What `tensorgate compress` found about a model and the candidates to take its place.',
  };
}
