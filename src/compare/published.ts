/** The part of a published version's report that a rollout holds the version to. */

import type { Published } from '../gateway/repository/version-report.ts';
import type { ModelReport, Report } from './report.ts';

/** Expectations for a candidate as `version`. A ratio with a time of 0, which no clock measured, is 1. */
export function publishedOf(
  { name, sha256, quality, latency }: ModelReport,
  { base, model }: Report,
  version: string,
): Published {
  const ratio = (own: number, other: number): number => (own > 0 && other > 0 ? own / other : 1);
  return {
    candidate: name,
    version,
    sha256,
    base: { version: model.version, sha256: base.sha256 },
    expect: {
      rows: quality.rows,
      agreement: quality.agreement,
      maxAbs: quality.maxAbs,
      errorRate: quality.failed / (quality.rows + quality.failed),
      latencyRatio: ratio(latency.p50Ms, base.latency.p50Ms),
      p99Ratio: ratio(latency.p99Ms, base.latency.p99Ms),
    },
  };
}
