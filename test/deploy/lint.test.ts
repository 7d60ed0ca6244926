import { describe, expect, test } from 'vitest';
import { lint, RULES } from '../../deploy/lint/lint.ts';
import { changed, KUBECTL, OVERLAYS, overlay } from './builds.ts';
import { FAULTS } from './faults.ts';

describe.skipIf(KUBECTL === undefined)('the lint of deploy/istio', () => {
  test.each(OVERLAYS)('finds nothing in %s', (name) => {
    expect(lint(overlay(name))).toEqual([]);
  });

  test.each(FAULTS)('$rule finds: $fault', ({ rule, in: name, changes, added = [] }) => {
    const findings = lint(changed(name, changes, added));
    expect(findings.map((finding) => finding.rule)).toContain(rule);
  });

  test('has a fault for each rule, and a rule for each fault', () => {
    expect([...new Set(FAULTS.map(({ rule }) => rule))].sort()).toEqual(RULES.map(({ id }) => id).sort());
  });
});
