/** A result of `tensorgate bench`, made up. */

import type { BenchResult, LevelResult } from '../../src/bench/result.ts';

export function benchLevel(changes: Partial<LevelResult>): LevelResult {
  return {
    ...{ calls: 200, answered: 200, failures: {}, answeredPerS: 20 },
    latencyMs: { mean: 5, p50: 4, p90: 8, p95: 9, p99: 12, p999: 14, max: 15 },
    client: { processes: 1, loopBusy: 0.1, cpu: 0.1, lagP99Ms: 0.2, lateShare: 0 },
    server: { requests: 200, rowsPerBatch: 1.5, queueMs: 0.5, inputMs: 0.2, inferMs: 2, outputMs: 0.1 },
    ...changes,
  };
}

export function benchResult(changes: Partial<BenchResult> = {}): BenchResult {
  return {
    ...{ schema: 'tensorgate.bench/1', tensorgate: '0.1.0', created: '2026-01-01T00:00:00.000Z' },
    ...{ command: 'tensorgate bench m --rate 20', model: 'm', version: '', url: 'a:1', protocol: 'grpc' },
    ...{ arrivals: 'poisson', slo: null, durationMs: 10_000, warmUpMs: 1_000, deadlineMs: 30_000 },
    data: { source: 'made-up values', rows: 64 },
    machine: { cpu: 'a processor', cores: 2, system: 'Linux', node: '24.0.0' },
    levels: [benchLevel({ ratePerS: 20 })],
    ...changes,
  };
}
