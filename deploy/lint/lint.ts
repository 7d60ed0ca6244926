/** All rules. Each says which fault it prevents, and `test/deploy/lint.test.ts` has for each a build that must fail by it. */

import type { Build } from './build.ts';
import type { Finding, Rule } from './rule.ts';
import { AUTHORIZATION_RULES } from './rules/authorization.ts';
import { MESH_RULES } from './rules/mesh.ts';
import { POD_RULES } from './rules/pods.ts';
import { QUERY_RULES } from './rules/queries.ts';
import { ROUTE_RULES } from './rules/routes.ts';
import { SCALING_RULES } from './rules/scaling.ts';
import { SERVICE_RULES } from './rules/services.ts';

export const RULES: readonly Rule[] = [
  ...POD_RULES,
  ...SERVICE_RULES,
  ...ROUTE_RULES,
  ...AUTHORIZATION_RULES,
  ...MESH_RULES,
  ...SCALING_RULES,
  ...QUERY_RULES,
];

export interface RuledFinding extends Finding {
  readonly rule: string;
}

export function lint(build: Build): readonly RuledFinding[] {
  const findings = RULES.flatMap((rule) => rule.check(build).map((finding) => ({ rule: rule.id, ...finding })));
  const seen = new Set<string>();
  return findings.filter(({ rule, object, text }) => {
    const key = `${rule} ${object} ${text}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
