/** The JSON Schema of the chart's values: names that are misspelt are refused by `helm lint`, `template`, `install` and `upgrade`. */

import { SETTINGS, type SettingDescription } from '../../src/gateway/ops/setting-description.ts';

type Schema = Readonly<Record<string, unknown>>;

const TEXT: Schema = { type: 'string' };
const BOOLEAN: Schema = { type: 'boolean' };
const MAP: Schema = { type: 'object' };
const TEXTS_BY_NAME: Schema = { type: 'object', additionalProperties: TEXT };
const LIST: Schema = { type: 'array', items: MAP };
const QUANTITY: Schema = { type: 'string', pattern: '^[0-9.]+([KMGTPE]i?|m)?$' };
const DIGEST: Schema = { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' };
const PRINCIPALS: Schema = {
  type: 'array',
  items: { type: 'string', pattern: '^[^:]+/ns/.+$' },
  description: 'Principals without spiffe://, such as cluster.local/ns/shop/sa/recommender.',
};

export function valuesSchema(): Schema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart tensorgate',
    ...object(VALUES),
  };
}

function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', properties, additionalProperties: false };
}

function oneOf(...choices: readonly string[]): Schema {
  return { type: 'string', enum: choices };
}

function count(minimum: number, maximum?: number): Schema {
  return { type: 'integer', minimum, ...(maximum !== undefined && { maximum }) };
}

const IMAGE = { repository: TEXT, tag: TEXT, digest: DIGEST };

const VALUES: Readonly<Record<string, Schema>> = {
  // Helm gives it to every chart.
  global: MAP,
  image: object({ ...IMAGE, pullPolicy: oneOf('Always', 'IfNotPresent', 'Never') }),
  imagePullSecrets: LIST,
  replicaCount: count(0),
  resources: MAP,
  mailbox: object({ sizeLimit: QUANTITY }),
  models: object({
    source: oneOf('image', 'copy', 'pvc', 'uri'),
    image: object({ reference: TEXT }),
    pvc: object({
      existingClaim: TEXT,
      size: QUANTITY,
      storageClassName: TEXT,
      accessModes: { type: 'array', minItems: 1, items: oneOf('ReadWriteMany', 'ReadOnlyMany', 'ReadWriteOnce') },
    }),
    uri: object({ address: TEXT, initializer: TEXT, secretName: TEXT }),
    sizeLimit: QUANTITY,
    controlMode: oneOf('none', 'poll', 'explicit'),
  }),
  settings: {
    ...object(Object.fromEntries(SETTINGS.map((setting) => [setting.env, settingSchema(setting)]))),
    description: 'Settings of the server as variables: docs/configuration.md.',
  },
  extraEnv: LIST,
  serviceAccount: object({ create: BOOLEAN, name: TEXT, annotations: TEXTS_BY_NAME }),
  service: object({ type: oneOf('ClusterIP', 'NodePort', 'LoadBalancer'), annotations: TEXTS_BY_NAME }),
  mesh: object({
    mode: oneOf('none', 'sidecar', 'ambient'),
    callers: PRINCIPALS,
    admins: PRINCIPALS,
    trustDomain: TEXT,
    namespaceWide: BOOLEAN,
  }),
  tls: object({ enabled: BOOLEAN, secretName: TEXT }),
  canary: object({
    enabled: BOOLEAN,
    replicaCount: count(0),
    weight: count(0, 100),
    image: object(IMAGE),
    models: object({ image: object({ reference: TEXT }), uri: object({ address: TEXT }) }),
  }),
  autoscaling: object({
    enabled: BOOLEAN,
    engine: oneOf('hpa', 'keda'),
    // With 0 there would be no pod to hold a request while its model loads.
    minReplicas: count(1),
    maxReplicas: count(1),
    targetCPUUtilizationPercentage: count(1),
    targetQueueMilliseconds: count(1),
    fallbackReplicas: count(1),
  }),
  podDisruptionBudget: object({
    enabled: BOOLEAN,
    maxUnavailable: { anyOf: [count(0), { type: 'string', pattern: '^[0-9]+%$' }] },
  }),
  networkPolicy: object({ enabled: BOOLEAN, adminNamespace: TEXT }),
  monitoring: object({
    namespace: TEXT,
    serviceAccount: TEXT,
    prometheusUrl: TEXT,
    labels: TEXTS_BY_NAME,
    podMonitor: object({ enabled: BOOLEAN, interval: TEXT }),
    prometheusRule: object({ enabled: BOOLEAN, runbookUrl: TEXT }),
  }),
  clusterDomain: TEXT,
  nameOverride: TEXT,
  fullnameOverride: TEXT,
  podAnnotations: TEXTS_BY_NAME,
  podLabels: TEXTS_BY_NAME,
  nodeSelector: TEXTS_BY_NAME,
  tolerations: LIST,
  affinity: MAP,
  priorityClassName: TEXT,
  runtimeClassName: TEXT,
  extraVolumes: LIST,
  extraVolumeMounts: LIST,
  terminationGracePeriodSeconds: count(0),
};

/** A variable is text; its value may also be written as what it stands for. */
function settingSchema({ type, list, choices, minimum, maximum }: SettingDescription): Schema {
  if (choices !== undefined && !list) return { enum: choices };
  if (type === 'boolean') return { enum: [true, false, 'true', 'false'] };
  if (type === 'string' || type === 'path' || list) return TEXT;
  const range = { ...(minimum !== undefined && { minimum }), ...(maximum !== undefined && { maximum }) };
  return {
    anyOf: [
      { type: 'integer', ...range },
      { type: 'string', pattern: '^[0-9]*$' },
    ],
  };
}
