/** Fields of the objects that values of the chart replace, and fields that they add. */

import { block, expression } from './marks.ts';

/** A field: its object, such as `Deployment/tensorgate`, and the keys that lead to it. Items of lists go by their name or position. */
export interface Parameter {
  readonly object: string;
  readonly at: string;
  readonly value: string;
}

const value = (name: string): string => expression(`.Values.${name}`);
const text = (name: string): string => expression(`.Values.${name} | quote`);
const yaml = (name: string): string => block(`{{- toYaml .Values.${name} | nindent @0 }}`);

/** A value without which there is no chart; `helm lint` reports it only as a notice. */
const needed = (name: string, what: string): string => expression(`required "${name}: ${what}" .Values.${name}`);

const POD = 'spec/template/spec';
const SERVER = `${POD}/containers/tensorgate`;

/** What users add below a key, or beside others. */
const section = (name: string, key = name): string =>
  block(`{{- with .Values.${name} }}`, `${key}:`, '  {{- toYaml . | nindent @2 }}', '{{- end }}');
const optional = (name: string): string => block(`{{- with .Values.${name} }}`, `${name}: {{ . }}`, '{{- end }}');
const more = (name: string): string =>
  block(`{{- with .Values.${name} }}`, '{{- toYaml . | nindent @0 }}', '{{- end }}');

const MODELS = 'the reference of the image with your models';

function workload(object: string, of: '' | 'canary.'): Parameter[] {
  const own: Readonly<Record<string, string>> = {
    'spec/replicas': value(`${of}replicaCount`),
    'spec/template/metadata/annotations/checksum~1settings': expression(
      'include (print $.Template.BasePath "/configmap-settings.yaml") . | sha256sum | quote',
    ),
    'spec/template/metadata/annotations/+': more('podAnnotations'),
    'spec/template/metadata/labels/+': more('podLabels'),
    [`${POD}/terminationGracePeriodSeconds`]: value('terminationGracePeriodSeconds'),
    [`${POD}/volumes/mailbox/emptyDir/sizeLimit`]: value('mailbox.sizeLimit'),
    [`${POD}/volumes/models/emptyDir/sizeLimit`]: value('models.sizeLimit'),
    [`${POD}/volumes/models/image/reference`]: needed(`${of}models.image.reference`, MODELS),
    [`${POD}/volumes/tls/secret/secretName`]: needed('tls.secretName', 'the Secret with tls.crt and tls.key'),
    [`${POD}/initContainers/models/image`]: needed(`${of}models.image.reference`, MODELS),
    [`${POD}/initContainers/download/image`]: value('models.uri.initializer'),
    [`${POD}/initContainers/download/args/0`]: needed(
      `${of}models.uri.address`,
      'the address of your models, such as s3://…',
    ),
    [`${POD}/initContainers/download/envFrom/0/secretRef/name`]: expression('include "tensorgate.modelsSecret" .'),
    [`${POD}/volumes/models/persistentVolumeClaim/claimName`]: expression('include "tensorgate.modelsClaim" .'),
    [`${POD}/serviceAccountName`]: expression('include "tensorgate.serviceAccountName" .'),
    [`${SERVER}/image`]: expression(
      `include "tensorgate.image" (list .Values.${of}image .Chart.AppVersion "${of}image.repository")`,
    ),
    [`${SERVER}/imagePullPolicy`]: value('image.pullPolicy'),
    [`${SERVER}/resources`]: yaml('resources'),
    [`${SERVER}/+`]: block('{{- with include "tensorgate.env" . }}', 'env:', '  {{- . | nindent @2 }}', '{{- end }}'),
    [`${SERVER}/volumeMounts/+`]: more('extraVolumeMounts'),
    [`${POD}/volumes/+`]: more('extraVolumes'),
  };
  const sections = ['imagePullSecrets', 'nodeSelector', 'tolerations', 'affinity'];
  const names = ['priorityClassName', 'runtimeClassName'];
  return [
    ...fields(object, own),
    ...sections.map((name) => ({ object, at: `${POD}/+${name}`, value: section(name) })),
    ...names.map((name) => ({ object, at: `${POD}/+${name}`, value: optional(name) })),
  ];
}

function fields(object: string, values: Readonly<Record<string, string>>): Parameter[] {
  return Object.entries(values).map(([at, each]) => ({ object, at, value: each }));
}

const CALLERS = block('{{- toYaml (concat .Values.mesh.callers .Values.mesh.admins) | nindent @0 }}');
const ADMINS = block('{{- toYaml .Values.mesh.admins | nindent @0 }}');
const PRINCIPALS = 'spec/rules/0/from/0/source/principals';

/** Stable and canary in a route; canary exists only with the component. */
function weights(object: string, at: (rule: number, backend: number) => string): Parameter[] {
  return [1, 2].flatMap((rule) =>
    fields(object, {
      [at(rule, 0)]: expression('sub 100 (int .Values.canary.weight)'),
      [at(rule, 1)]: value('canary.weight'),
    }),
  );
}

export const PARAMETERS: readonly Parameter[] = [
  ...workload('Deployment/tensorgate', ''),
  ...workload('Deployment/tensorgate-canary', 'canary.'),
  ...fields('ConfigMap/tensorgate-settings', { 'data/TENSORGATE_MODEL_CONTROL_MODE': value('models.controlMode') }),
  ...fields('Service/tensorgate', {
    'spec/type': value('service.type'),
    'metadata/+': section('service.annotations', 'annotations'),
  }),
  ...fields('ServiceAccount/tensorgate', {
    'metadata/name': expression('include "tensorgate.serviceAccountName" .'),
    'metadata/+': section('serviceAccount.annotations', 'annotations'),
  }),
  ...fields('PodDisruptionBudget/tensorgate', { 'spec/maxUnavailable': value('podDisruptionBudget.maxUnavailable') }),
  ...fields('PersistentVolumeClaim/tensorgate-models', {
    // Models outlive the release.
    'metadata/+': block('annotations:', '  helm.sh/resource-policy: keep'),
    'spec/accessModes': yaml('models.pvc.accessModes'),
    'spec/resources/requests/storage': value('models.pvc.size'),
    'spec/+': block('{{- with .Values.models.pvc.storageClassName }}', 'storageClassName: {{ . }}', '{{- end }}'),
  }),
  ...fields('HorizontalPodAutoscaler/tensorgate', {
    'spec/minReplicas': value('autoscaling.minReplicas'),
    'spec/maxReplicas': value('autoscaling.maxReplicas'),
    'spec/metrics/0/containerResource/target/averageUtilization': value('autoscaling.targetCPUUtilizationPercentage'),
    'spec/metrics/1/pods/target/averageValue': expression(
      'printf "%dm" (int .Values.autoscaling.targetQueueMilliseconds)',
    ),
  }),
  ...fields('ScaledObject/tensorgate', {
    'spec/minReplicaCount': value('autoscaling.minReplicas'),
    'spec/maxReplicaCount': value('autoscaling.maxReplicas'),
    'spec/fallback/replicas': value('autoscaling.fallbackReplicas'),
    'spec/triggers/0/metadata/value': text('autoscaling.targetCPUUtilizationPercentage'),
    'spec/triggers/1/metadata/threshold': expression('divf .Values.autoscaling.targetQueueMilliseconds 1000 | quote'),
  }),
  ...fields('PodMonitor/tensorgate', {
    'metadata/labels/+': more('monitoring.labels'),
    'spec/podMetricsEndpoints/0/interval': value('monitoring.podMonitor.interval'),
  }),
  ...fields('PrometheusRule/tensorgate', { 'metadata/labels/+': more('monitoring.labels') }),
  ...['infer', 'metadata'].flatMap((name) =>
    fields(`AuthorizationPolicy/tensorgate-${name}`, { [PRINCIPALS]: CALLERS }),
  ),
  ...fields('AuthorizationPolicy/tensorgate-control', { [PRINCIPALS]: ADMINS }),
  ...fields('AuthorizationPolicy/tensorgate-control-deny', { 'spec/rules/0/from/0/source/notPrincipals': ADMINS }),
];

/** Where both tracks are behind a route, the canary's rule for testers comes first. */
export const CANARY_PARAMETERS: readonly Parameter[] = [
  ...weights('VirtualService/tensorgate', (rule, backend) => `spec/http/${rule}/route/${backend}/weight`),
  ...weights('HTTPRoute/tensorgate', (rule, backend) => `spec/rules/${rule}/backendRefs/${backend}/weight`),
];

/** Objects that values switch off. */
export const SWITCHES: Readonly<Record<string, string>> = {
  'NetworkPolicy/tensorgate': '.Values.networkPolicy.enabled',
  'PeerAuthentication/default': '.Values.mesh.namespaceWide',
  'PersistentVolumeClaim/tensorgate-models': 'not .Values.models.pvc.existingClaim',
  'PodDisruptionBudget/tensorgate': '.Values.podDisruptionBudget.enabled',
  'PodMonitor/tensorgate': '.Values.monitoring.podMonitor.enabled',
  'PrometheusRule/tensorgate': '.Values.monitoring.prometheusRule.enabled',
  'ServiceAccount/tensorgate': '.Values.serviceAccount.create',
  'Telemetry/tensorgate': '.Values.mesh.namespaceWide',
};
