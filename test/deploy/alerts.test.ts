import fs from 'node:fs';
import { expect, test } from 'vitest';
import { REASONS } from '../../src/gateway/errors.ts';

const RULES = fs.readFileSync('deploy/istio/components/monitoring/prometheusrule.yaml', 'utf8');

test('TensorgateSheds counts refusals that more pods would have answered, and no others', () => {
  const alert =
    /alert: TensorgateSheds\n[\s\S]*?expr: \|-\n(?<expr>[\s\S]*?)\n\s+for:/.exec(RULES)?.groups?.['expr'] ?? '';
  const [counted = '', all = ''] = alert.split('\n').map((line) => line.trim());
  const reasons = /reason=~"(?<reasons>[^"]+)"/.exec(counted)?.groups?.['reasons']?.split('|') ?? [];
  // The caller's own fault, or that of its rate: no number of pods helps.
  const others = ['limit_exceeded', 'rate_limited', 'deadline_too_short'];
  const exhausted = Object.entries(REASONS).flatMap(([reason, status]) =>
    status === 'RESOURCE_EXHAUSTED' ? [reason] : [],
  );
  expect(new Set([...reasons, ...others])).toEqual(new Set(exhausted));
  expect(reasons.filter((reason) => others.includes(reason))).toEqual([]);
  expect(all).not.toContain('reason');
});
