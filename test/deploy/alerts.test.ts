import fs from 'node:fs';
import { expect, test } from 'vitest';
import { REASONS } from '../../src/gateway/errors.ts';

const RULES = fs.readFileSync('deploy/istio/components/monitoring/prometheusrule.yaml', 'utf8');

test('TensorgateSheds counts refusals that more pods would have answered, and no others', () => {
  const alert =
    /alert: TensorgateSheds\n[\s\S]*?expr: \|-\n(?<expr>[\s\S]*?)\n\s+for:/.exec(RULES)?.groups?.['expr'] ?? '';
  const [counted = '', all = ''] = alert.split('\n').map((line) => line.trim());
  const reasons = /reason=~"(?<reasons>[^"]+)"/.exec(counted)?.groups?.['reasons']?.split('|') ?? [];
  // The caller's own fault, or the fault of its rate: no number of pods helps.
  const others = ['limit_exceeded', 'rate_limited', 'deadline_too_short'];
  const exhausted = Object.entries(REASONS).flatMap(([reason, status]) =>
    status === 'RESOURCE_EXHAUSTED' ? [reason] : [],
  );
  expect(new Set([...reasons, ...others])).toEqual(new Set(exhausted));
  expect(reasons.filter((reason) => others.includes(reason))).toEqual([]);
  expect(all).not.toContain('reason');
});

const ALERTS = [...RULES.matchAll(/- alert: (?<name>\w+)\n(?<rule>[\s\S]*?)(?=\n\s+- alert:|$)/g)].map(
  ({ groups }) => ({
    name: groups?.['name'] ?? '',
    rule: groups?.['rule'] ?? '',
  }),
);

test.each(ALERTS)('$name names its section of the runbook', ({ name, rule }) => {
  const [, page, anchor] = /\n\s+runbook_url: https:\/\/\S+\/(docs\/\S+\.md)#(\S+)/.exec(rule) ?? [];
  expect([page, anchor]).toEqual(['docs/runbook.md', name.toLowerCase()]);
});

test('the runbook has a section for each alert, with its severity, and no other', () => {
  const runbook = fs.readFileSync('docs/runbook.md', 'utf8');
  const sections = [...runbook.matchAll(/^## (?<name>Tensorgate\w+)\n\n\*\*(?<severity>\w+)\.\*\*/gm)];
  const severities = ALERTS.map(({ name, rule }) => [name, /severity: (\w+)/.exec(rule)?.[1]]);
  expect(sections.map(({ groups }) => [groups?.['name'], groups?.['severity']?.toLowerCase()])).toEqual(severities);
  expect(severities.length).toBeGreaterThan(10);
});

test('every metric that the runbook names is one that the gateway exports', () => {
  const pages = ['runbook', 'sizing', 'troubleshooting'].map((page) => fs.readFileSync(`docs/${page}.md`, 'utf8'));
  const metrics = fs.readFileSync('docs/metrics.md', 'utf8');
  const named = new Set(pages.join('\n').match(/\btensorgate_\w+/g));
  const unknown = [...named].filter((name) => !metrics.includes(`\`${name}\``));
  expect(unknown).toEqual([]);
});
