/** The rules of deploy/istio, as Prometheus reads them. */

import fs from 'node:fs';
import { parse } from 'yaml';

export interface PrometheusRule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
}

export interface RuleGroups {
  readonly groups: readonly { readonly name: string; readonly rules: readonly PrometheusRule[] }[];
}

/** The part of the object that is a file of rules for Prometheus itself. */
export const RULE_GROUPS = (
  parse(fs.readFileSync('deploy/istio/components/monitoring/prometheusrule.yaml', 'utf8')) as {
    readonly spec: RuleGroups;
  }
).spec;

export const RULES = RULE_GROUPS.groups.flatMap(({ rules }) => rules);
