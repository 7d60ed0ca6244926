/** Result of `tensorgate bench`: `results.json` of a report, and the input of `--compare`. */

import { z } from 'zod';
import { ARRIVALS } from './arrivals.ts';

export const RESULT_SCHEMA = 'tensorgate.bench/1';
export const RESULT_FILE = 'results.json';

const ms = z.number().min(0);
const share = z.number().min(0).max(1);
const count = z.int().min(0);

const latency = z.strictObject({ mean: ms, p50: ms, p90: ms, p95: ms, p99: ms, p999: ms, max: ms });

const range = z.strictObject({ min: z.number().min(0), max: z.number().min(0) });

const spread = z.strictObject({ answeredPerS: range, p50Ms: range, p99Ms: range });

const level = z.strictObject({
  ratePerS: z.number().gt(0).optional().describe('Calls a second that were due; absent in a closed loop.'),
  concurrency: z.int().min(1).optional().describe('Calls under way at a time; absent in an open loop.'),
  calls: count.describe('Open loop: calls that were due in the window. Closed loop: calls that ended in it.'),
  answered: count,
  failures: z.record(z.string(), count).describe('Failed calls by status.'),
  firstFailure: z.string().optional().describe('Text of the server.'),
  answeredPerS: z.number().min(0),
  goodputPerS: z.number().min(0).optional().describe('Answers within the SLO a second; absent without an SLO.'),
  latencyMs: latency.nullable().describe('null: no call was answered, or the client was the bottleneck.'),
  spread: spread.optional().describe('Least and greatest figures of the fifths of the level.'),
  slo: z
    .strictObject({
      withinShare: share.describe('Share of all calls that were answered within the SLO.'),
      verdict: z.enum(['met', 'missed', 'unknown']).describe('unknown: missed, but the client was the bottleneck.'),
    })
    .optional(),
  client: z.strictObject({
    processes: z.int().min(1).default(1).describe('Processes that sent the load; the figures are of the busiest.'),
    loopBusy: share.describe('Share of the time in which the event loop was not idle.'),
    cpu: z.number().min(0).describe('Processor time of the client as a share of the time.'),
    lagP99Ms: ms.describe('99th percentile of how late timers of the client ran.'),
    lateShare: share.describe('Share of the calls of an open loop that the client sent late.'),
    bottleneck: z.string().optional().describe('Why the client and not the server decided the latencies.'),
  }),
  server: z
    .strictObject({
      requests: count,
      rowsPerBatch: z.number().min(0).nullable(),
      queueMs: ms,
      inputMs: ms,
      inferMs: ms,
      outputMs: ms,
    })
    .optional()
    .describe('Mean times of a request, by the statistics of the server; absent where it has none.'),
});

const figure = z.strictObject({
  name: z.enum(['p50 ms', 'p99 ms', 'answered/s']),
  before: z.number().min(0),
  now: z.number().min(0),
  ratio: z.number().min(0).describe('now / before'),
  verdict: z.enum(['better', 'same', 'worse']).describe('same: the change is within the noise.'),
});

const comparison = z.strictObject({
  source: z.string(),
  created: z.string().describe('Time of the earlier result.'),
  differences: z.array(z.string()).describe('Facts that make the results hard to compare.'),
  levels: z.array(
    z.strictObject({
      ratePerS: z.number().gt(0).optional(),
      concurrency: z.int().min(1).optional(),
      figures: z.array(figure),
    }),
  ),
  regressions: count.describe('Figures that are worse.'),
});

export const BENCH_RESULT = z.strictObject({
  schema: z.literal(RESULT_SCHEMA),
  tensorgate: z.string().describe('Version of the program.'),
  created: z.string(),
  command: z.string(),
  model: z.string(),
  version: z.string().describe('Empty where the server chose.'),
  url: z.string(),
  protocol: z.enum(['grpc', 'rest', 'rest-binary']),
  arrivals: z.enum(ARRIVALS).nullable().describe('null: a closed loop.'),
  data: z.strictObject({ source: z.string(), rows: z.int().min(1) }),
  durationMs: ms,
  warmUpMs: ms,
  deadlineMs: ms,
  slo: z.strictObject({ ms, share }).nullable(),
  machine: z.strictObject({ cpu: z.string(), cores: z.int(), system: z.string(), node: z.string() }),
  levels: z.array(level).min(1),
  comparison: comparison.optional().describe('With an earlier result.'),
});

export type BenchResult = Readonly<z.output<typeof BENCH_RESULT>>;
export type LevelResult = Readonly<z.output<typeof level>>;
export type Spread = Readonly<z.output<typeof spread>>;
export type Latency = Readonly<z.output<typeof latency>>;
export type Comparison = Readonly<z.output<typeof comparison>>;
export type Slo = NonNullable<BenchResult['slo']>;

/**
 * Reads the text of a result.
 * @throws Error that names the field
 */
export function parseResult(text: string): BenchResult {
  const { success, data, error } = BENCH_RESULT.safeParse(JSON.parse(text));
  if (!success) throw new Error(z.prettifyError(error).replaceAll('\n', ' '));
  return data;
}
