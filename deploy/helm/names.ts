/** Names of the examples, as the chart gives them: after the release, its namespace, and the values about the cluster. */

import { NAME, NAME_LABEL } from '../lint/build.ts';
import { expression } from './marks.ts';

const FULL_NAME = expression('include "tensorgate.fullname" .');
const NAMESPACE = expression('.Release.Namespace');
const OBSERVABILITY = expression('.Values.monitoring.namespace');
const TRUST_DOMAIN = expression('.Values.mesh.trustDomain');

const WHOLE: Readonly<Record<string, string>> = {
  inference: NAMESPACE,
  observability: OBSERVABILITY,
  'inference-ops': expression('.Values.networkPolicy.adminNamespace'),
};

const PARTS: readonly (readonly [RegExp, string])[] = [
  [/^(waypoint-only(?:-metrics)?)$/, `${FULL_NAME}-$1`],
  [
    /\btensorgate((?:-[a-z]+)?)\.inference\.svc\.cluster\.local\b/g,
    `${FULL_NAME}$1.${NAMESPACE}.svc.${expression('.Values.clusterDomain')}`,
  ],
  [
    /\bcluster\.local\/ns\/inference\/sa\/tensorgate-waypoint\b/g,
    `${TRUST_DOMAIN}/ns/${NAMESPACE}/sa/${FULL_NAME}-waypoint`,
  ],
  [
    /\bcluster\.local\/ns\/observability\/sa\/prometheus\b/g,
    `${TRUST_DOMAIN}/ns/${OBSERVABILITY}/sa/${expression('.Values.monitoring.serviceAccount')}`,
  ],
  [/\bhttp:\/\/prometheus\.observability\.svc\.cluster\.local:9090\b/g, expression('.Values.monitoring.prometheusUrl')],
  [
    /\bhttps:\/\/example\.com\/tensorgate\/docs\/runbook\.md\b/g,
    expression('.Values.monitoring.prometheusRule.runbookUrl'),
  ],
  [/^observability\/\*$/, `${OBSERVABILITY}/*`],
  [/\bnamespace="inference"/g, `namespace="${NAMESPACE}"`],
];

/** Containers and groups of alerts keep their names; the label of the name has the name of the chart. */
const KEPT = new Set([NAME_LABEL, 'container', 'containerName']);

/** The object with its names replaced; `where` are the keys that lead to it. */
export function renamed(value: unknown, where: readonly string[] = []): unknown {
  if (typeof value === 'string') return renamedText(value, where);
  if (Array.isArray(value)) return value.map((item, index) => renamed(item, [...where, String(index)]));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, each]) => [key, renamed(each, [...where, key])] as const);
  const copy: Record<string, unknown> = Object.fromEntries(entries);
  if (copy[NAME_LABEL] === NAME) copy['app.kubernetes.io/instance'] = expression('.Release.Name');
  return copy;
}

function renamedText(text: string, where: readonly string[]): string {
  const key = where.at(-1) ?? '';
  const whole = WHOLE[text];
  if (whole !== undefined) return whole;
  if (/^tensorgate(-[a-z-]+)?$/.test(text)) {
    const isKept = KEPT.has(key) || (key === 'name' && /^(containers|groups)$/.test(where.at(-3) ?? ''));
    return isKept ? text : text.replace(NAME, FULL_NAME);
  }
  return PARTS.reduce((renaming, [pattern, replacement]) => renaming.replace(pattern, replacement), text);
}
