/** Limits of a rollout that follow from the report of the new version. */

import type { Published } from '../repository/version-report.ts';
import { DEFAULT_LIMITS, type RolloutLimits } from './rollout-plan.ts';

/** Factor on the expected values: tomorrow's data differs from the report's. */
const MARGIN = 3;

export interface ExpectedLimits {
  readonly limits: RolloutLimits;
  readonly source: string;
}

/**
 * @param published report of the new version; `undefined` if it has none
 * @param from the serving version: a comparison with another version says nothing.
 */
export function expectedLimits(published: Published | undefined, from: string): ExpectedLimits {
  if (published === undefined)
    return { limits: DEFAULT_LIMITS, source: 'the defaults: the version has no report.json' };
  const { base, expect } = published;
  if (base.version !== from) {
    const source = `the defaults: the report.json of the version compares it with version ${base.version}, not ${from}`;
    return { limits: DEFAULT_LIMITS, source };
  }
  // Nothing seen in n rows still leaves up to 3 in n (the rule of three, at 95 %).
  const disagreement = MARGIN * Math.max(1 - expect.agreement, 1 / expect.rows);
  return {
    limits: {
      minAgreement: Math.max(0, 1 - disagreement),
      maxErrorRate: Math.min(1, DEFAULT_LIMITS.maxErrorRate + MARGIN * expect.errorRate),
      maxP99Ratio: DEFAULT_LIMITS.maxP99Ratio * Math.max(1, expect.p99Ratio),
    },
    source: `the report.json of the version: ${percent(expect.agreement)} agreed over ${expect.rows} rows, so three times as much disagreement is allowed`,
  };
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}
