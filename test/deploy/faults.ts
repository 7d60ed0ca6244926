/** For each rule of the lint, builds with the fault that it prevents. */

import type { KubeObject } from '../../deploy/lint/kinds.ts';
import type { Change } from './builds.ts';

/** An object that comes to a build. */
interface Added extends KubeObject {
  readonly spec: object;
}

export interface Fault {
  readonly rule: string;
  readonly fault: string;
  /** The overlay that has it. */
  readonly in: string;
  readonly changes: readonly Change[];
  readonly added?: readonly Added[];
}

const ROUTES = 'VirtualService/tensorgate';
const RULE = 'DestinationRule/tensorgate';
const DEPLOYMENT = 'Deployment/tensorgate';
const POD = 'spec/template/spec';
const CONTAINER = `${POD}/containers/0`;
const SETTINGS = 'ConfigMap/tensorgate-settings';
const HOST = 'tensorgate.inference.svc.cluster.local';

const metadata = (name: string) => ({ name, namespace: 'inference' });

export const FAULTS: readonly Fault[] = [
  // Pods
  fault('settings-accepted', 'a setting that there is not', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [{ name: 'TENSORGATE_DRAIN_TIMEOUT', value: '35000' }]),
  ]),
  fault('settings-accepted', 'a value that is not legal', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [{ name: 'TENSORGATE_MODEL_CONTROL_MODE', value: 'manual' }]),
  ]),
  fault('settings-accepted', 'settings that are not there', 'plain', [gone(SETTINGS)]),
  fault('reachable', 'loopback', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [{ name: 'TENSORGATE_HOST', value: '127.0.0.1' }]),
  ]),
  fault('reachable', 'another port than the pod has', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [{ name: 'TENSORGATE_GRPC_PORT', value: '9000' }]),
  ]),
  fault('rest-guarded', 'REST in a mesh', 'sidecar', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [{ name: 'TENSORGATE_REST', value: 'on' }]),
  ]),
  fault('control-guarded', 'control for whoever calls', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [{ name: 'TENSORGATE_ADMIN_PORT', value: '' }]),
  ]),
  fault('control-guarded', 'control on a port without policies', 'sidecar', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [{ name: 'TENSORGATE_ADMIN_PORT', value: '8003' }]),
  ]),
  fault('grace-adds-up', 'half the grace', 'plain', [set(DEPLOYMENT, `${POD}/terminationGracePeriodSeconds`, 30)]),
  fault('grace-adds-up', 'a drain shorter than a call', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [{ name: 'TENSORGATE_MAX_DEADLINE_MS', value: '120000' }]),
  ]),
  fault('grace-adds-up', 'no time for endpoints to forget the pod', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [{ name: 'TENSORGATE_LAME_DUCK_MS', value: '0' }]),
  ]),
  fault('proxy-outlives', 'a proxy with the drain that Istio has', 'sidecar', [
    set(DEPLOYMENT, 'spec/template/metadata/annotations/proxy.istio.io~1config', 'terminationDrainDuration: 5s'),
  ]),
  fault('probes', 'a name that health does not know', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/readinessProbe/grpc/service`, 'readiness'),
  ]),
  fault('probes', 'a port by its name', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/livenessProbe/httpGet/port`, 'http-metrics'),
  ]),
  fault('probes', 'liveness that fails while models load', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/livenessProbe`, { grpc: { port: 8001 } }),
  ]),
  fault('probes', 'no readiness', 'plain', [set(DEPLOYMENT, `${CONTAINER}/readinessProbe`)]),
  fault('mailbox', 'a mailbox on a disk', 'plain', [set(DEPLOYMENT, `${POD}/volumes/1/emptyDir/medium`)]),
  fault('mailbox', 'a mailbox without room for what is in flight', 'plain', [
    set(DEPLOYMENT, `${POD}/volumes/1/emptyDir/sizeLimit`, '64Mi'),
  ]),
  fault('mailbox', 'memory that others may take', 'plain', [
    set(DEPLOYMENT, `${CONTAINER}/resources/requests/memory`, '1Gi'),
  ]),
  fault('cores-bounded', 'no limit of CPU', 'plain', [set(DEPLOYMENT, `${CONTAINER}/resources/limits/cpu`)]),
  fault('digests', 'a tag', 'plain', [set(DEPLOYMENT, `${CONTAINER}/image`, 'example.com/tensorgate:latest')]),
  fault('digests', 'a tag of the models', 'plain', [
    set(DEPLOYMENT, `${POD}/volumes/0/image/reference`, 'example.com/models:v2'),
  ]),
  fault('fenced', 'root', 'plain', [set(DEPLOYMENT, `${POD}/securityContext/runAsNonRoot`, false)]),
  fault('fenced', 'files to change', 'plain', [set(DEPLOYMENT, `${CONTAINER}/securityContext/readOnlyRootFilesystem`)]),
  fault('fenced', 'a token of the API server', 'plain', [set(DEPLOYMENT, `${POD}/automountServiceAccountToken`)]),
  fault('service-links', 'variables named like settings', 'plain', [set(DEPLOYMENT, `${POD}/enableServiceLinks`)]),
  fault('volume-source', 'models from two places', 'plain', [set(DEPLOYMENT, `${POD}/volumes/0/emptyDir`, {})]),

  // Services
  fault('grpc-port', 'a port without its protocol', 'sidecar', [set('Service/tensorgate', 'spec/ports/0/appProtocol')]),
  fault('grpc-port', "Flagger's port with its default name", 'flagger', [
    set('Canary/tensorgate', 'spec/service/portName'),
  ]),
  fault('port-names', 'a port of which nothing is known', 'plain', [
    set('Service/tensorgate', 'spec/ports/1', { name: 'metrics', port: 8002, targetPort: 'http-metrics' }),
  ]),
  fault('no-headless', 'a headless Service', 'sidecar', [set('Service/tensorgate', 'spec/clusterIP', 'None')]),
  fault('service-finds-pods', 'a selector of nothing', 'plain', [
    set('Service/tensorgate', 'spec/selector/app', 'gateway'),
  ]),
  fault('service-finds-pods', 'a port that no container has', 'plain', [
    set('Service/tensorgate', 'spec/ports/0/targetPort', 'rpc'),
  ]),
  fault('whole-hosts', 'a short name', 'sidecar', [set(ROUTES, 'spec/hosts/0', 'tensorgate')]),
  fault('whole-hosts', 'a route to what is not there', 'ambient', [gone('Service/tensorgate-stable')]),
  fault('whole-hosts', 'another namespace', 'sidecar', [set(RULE, 'spec/host', 'tensorgate.models.svc.cluster.local')]),
  fault('subsets', 'a subset that no rule has', 'sidecar-canary', [set(RULE, 'spec/subsets/1')]),
  fault('subsets', 'a subset without pods', 'sidecar-canary', [gone('Deployment/tensorgate-canary')]),
  fault('subsets', 'a route that Argo cannot weigh', 'argo-rollouts', [set(ROUTES, 'spec/http/1/route/1')]),
  fault('outlier-statuses', "Envoy's default of 5xx", 'sidecar', [
    set(RULE, 'spec/trafficPolicy/outlierDetection/consecutive5xxErrors'),
  ]),
  fault('outlier-statuses', 'ejection by two deadlines', 'sidecar', [
    set(RULE, 'spec/trafficPolicy/outlierDetection/consecutiveGatewayErrors', 2),
  ]),
  fault('outlier-statuses', "the default in Flagger's rules", 'flagger', [
    set('Canary/tensorgate', 'spec/service/trafficPolicy/outlierDetection/consecutive5xxErrors'),
  ]),
  fault('retry-budget', 'no budget', 'sidecar', [set(RULE, 'spec/trafficPolicy/retryBudget')]),
  fault('retry-budget', 'a budget by its default', 'sidecar', [set(RULE, 'spec/trafficPolicy/retryBudget/percent')]),
  fault('route-budget', 'a backend without a rule', 'ambient', [gone('DestinationRule/tensorgate-stable')]),
  fault('locality-explicit', 'locality by accident', 'sidecar', [
    set(RULE, 'spec/trafficPolicy/loadBalancer/localityLbSetting'),
  ]),

  // Routes
  fault('retries-explicit', 'a route that does not say what is retried', 'sidecar', [
    set(ROUTES, 'spec/http/2/retries'),
  ]),
  fault('retries-explicit', "Flagger's route that does not", 'flagger', [
    set('Canary/tensorgate', 'spec/service/retries'),
  ]),
  fault('retry-conditions', 'a blank', 'sidecar', [
    set(ROUTES, 'spec/http/0/retries/retryOn', 'unavailable, connect-failure'),
  ]),
  fault('overload-not-retried', 'retries of refusals', 'sidecar', [
    set(ROUTES, 'spec/http/0/retries/retryOn', 'unavailable,resource-exhausted'),
  ]),
  fault('tries-fit-timeout', 'a second try that ends with the first', 'sidecar', [
    set(ROUTES, 'spec/http/0/retries/perTryTimeout', '30s'),
  ]),
  fault('control-whole', 'loads that are retried', 'sidecar', [set(ROUTES, 'spec/http/2/retries', { attempts: 2 })]),
  fault('control-whole', 'loads that are spread', 'sidecar-canary', [
    set(ROUTES, 'spec/http/3/route', [
      { destination: { host: HOST, subset: 'stable' }, weight: 90 },
      { destination: { host: HOST, subset: 'canary' }, weight: 10 },
    ]),
  ]),
  fault('control-whole', 'loads that the shadow gets too', 'sidecar', [
    set(ROUTES, 'spec/http/2/mirror', { host: HOST }),
  ]),
  fault('control-whole', 'loads that are spread by an HTTPRoute', 'ambient-canary', [
    set('HTTPRoute/tensorgate', 'spec/rules/3/backendRefs/-', { name: 'tensorgate-canary', port: 8001 }),
  ]),
  fault('streams-whole', 'a stream with a timeout', 'sidecar', [set(ROUTES, 'spec/http/1/timeout', '35s')]),
  fault('streams-whole', 'a stream that is begun anew', 'sidecar', [
    set(ROUTES, 'spec/http/1/retries', { attempts: 1 }),
  ]),
  fault('streams-whole', "a timeout of health's Watch", 'ambient', [
    set('HTTPRoute/tensorgate', 'spec/rules/2/timeouts/request', '35s'),
  ]),
  fault('infer-timeout', 'a proxy that is less patient than the gateway', 'sidecar', [
    set(ROUTES, 'spec/http/0/timeout', '10s'),
  ]),
  fault('infer-timeout', 'the same by HTTPRoute', 'ambient', [
    set('HTTPRoute/tensorgate', 'spec/rules/0/timeouts/request', '30s'),
  ]),
  fault('header-case', 'a capital', 'sidecar-canary', [
    set(ROUTES, 'spec/http/0/match/0/headers', { 'X-Canary': { exact: 'always' } }),
  ]),
  fault('one-router', 'two VirtualServices of a host', 'sidecar', [], {
    ...object('networking.istio.io/v1', 'VirtualService', 'other'),
    spec: { hosts: [HOST], http: [{ route: [{ destination: { host: HOST } }], retries: { attempts: 0 } }] },
  }),
  fault('one-router', 'a VirtualService and a GRPCRoute', 'sidecar', [], {
    ...object('gateway.networking.k8s.io/v1', 'GRPCRoute', 'other'),
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'tensorgate' }], rules: [] },
  }),
  fault('weights', 'weights that do not come to 100', 'sidecar-canary', [
    set(ROUTES, 'spec/http/1/route/1/weight', 20),
  ]),
  fault('weights', 'a destination without a weight', 'sidecar-canary', [set(ROUTES, 'spec/http/1/route/1/weight')]),
  fault('weights', 'a canary that gets nothing', 'sidecar-canary', [
    set(ROUTES, 'spec/http/1/route/1'),
    set(ROUTES, 'spec/http/1/route/0/weight', 100),
  ]),
  fault('weights', 'a shadow that gets nothing', 'sidecar-shadow', [set(ROUTES, 'spec/http/0/mirrors')]),
  fault('routes-end-somewhere', 'no last route', 'sidecar', [set(ROUTES, 'spec/http/2')]),

  // Authorization
  fault('rpc-classes', 'an RPC in no class', 'sidecar', [
    set('AuthorizationPolicy/tensorgate-metadata', 'spec/rules/0/to/0/operation/paths/0'),
  ]),
  fault('rpc-classes', 'an RPC in two classes', 'sidecar', [
    set(
      'AuthorizationPolicy/tensorgate-metadata',
      'spec/rules/0/to/0/operation/paths/-',
      '/inference.GRPCInferenceService/ModelInfer',
    ),
  ]),
  fault('class-of-rpc', 'loads for whoever may infer', 'sidecar', [
    set('AuthorizationPolicy/tensorgate-control', 'spec/rules/0/to/0/operation/paths/0'),
    set(
      'AuthorizationPolicy/tensorgate-infer',
      'spec/rules/0/to/0/operation/paths/-',
      '/inference.GRPCInferenceService/RepositoryModelLoad',
    ),
  ]),
  fault('policy-paths', 'a misspelt RPC', 'sidecar', [
    set(
      'AuthorizationPolicy/tensorgate-infer',
      'spec/rules/0/to/0/operation/paths/-',
      '/inference.GRPCInferenceService/ModelInfr',
    ),
  ]),
  fault('control-denied', 'no denial', 'sidecar', [gone('AuthorizationPolicy/tensorgate-control-deny')]),
  fault('control-denied', 'a denial without one of them', 'sidecar', [
    set('AuthorizationPolicy/tensorgate-control-deny', 'spec/rules/0/to/0/operation/paths/0'),
  ]),
  fault('deny-ports', 'a denial of all TCP', 'sidecar', [
    set('AuthorizationPolicy/tensorgate-control-deny', 'spec/rules/0/to/0/operation/ports'),
  ]),
  fault('principal-form', 'spiffe://', 'sidecar', [
    set(
      'AuthorizationPolicy/tensorgate-infer',
      'spec/rules/0/from/0/source/principals/0',
      'spiffe://cluster.local/ns/shop/sa/recommender',
    ),
  ]),
  fault('policies-scoped', 'a policy of the whole namespace', 'sidecar', [
    set('AuthorizationPolicy/tensorgate-infer', 'spec/selector'),
  ]),
  fault('targets-exist', 'tokens for a gateway that is not there', 'ingress', [gone('Gateway/tensorgate-ingress')]),
  fault('strict-mtls', 'cleartext', 'sidecar', [set('PeerAuthentication/default', 'spec/mtls/mode', 'PERMISSIVE')]),
  fault('strict-mtls', 'cleartext on a port', 'sidecar', [
    set('PeerAuthentication/default', 'spec/portLevelMtls', { 8002: { mode: 'DISABLE' } }),
  ]),
  fault('token-demanded', 'callers without a token', 'ingress', [gone('AuthorizationPolicy/ingress-token')]),
  fault('ambient-layers', 'RPCs for ztunnel to judge', 'ambient', [
    set('AuthorizationPolicy/tensorgate-infer', 'spec/targetRefs'),
    set('AuthorizationPolicy/tensorgate-infer', 'spec/selector', {
      matchLabels: { 'app.kubernetes.io/name': 'tensorgate' },
    }),
  ]),
  fault('ambient-layers', 'a way past the waypoint', 'ambient', [gone('AuthorizationPolicy/waypoint-only')]),
  fault('policy-selectors', 'a policy of the stable pods alone', 'sidecar-canary', [
    set('AuthorizationPolicy/tensorgate-infer', 'spec/selector/matchLabels/track', 'stable'),
  ]),
  fault('policy-selectors', "a policy that misses Flagger's primary", 'flagger', [
    set('AuthorizationPolicy/tensorgate-infer', 'spec/selector/matchLabels', { app: 'tensorgate' }),
  ]),

  // The data plane
  fault('pool-routed', 'a pool beside a route to the Service', 'inference-pool', [
    set('HTTPRoute/tensorgate-ingress', 'spec/rules/0/backendRefs/0', { name: 'tensorgate-stable', port: 8001 }),
  ]),
  fault('mesh-encrypts', 'TLS of the server behind a sidecar', 'sidecar', [
    set(DEPLOYMENT, `${CONTAINER}/env`, [
      { name: 'TENSORGATE_TLS_CERTIFICATE', value: '/tls/tls.crt' },
      { name: 'TENSORGATE_TLS_PRIVATE_KEY', value: '/tls/tls.key' },
    ]),
  ]),
  fault('one-data-plane', 'a canary without a sidecar', 'sidecar-canary', [
    set('Deployment/tensorgate-canary', 'spec/template/metadata/labels/sidecar.istio.io~1inject'),
  ]),
  fault('one-data-plane', 'a sidecar in ambient', 'sidecar', [
    set(DEPLOYMENT, 'spec/template/metadata/labels/istio.io~1dataplane-mode', 'ambient'),
  ]),
  fault('mesh-needed', 'rules for pods outside of the mesh', 'sidecar', [
    set(DEPLOYMENT, 'spec/template/metadata/labels/sidecar.istio.io~1inject'),
  ]),
  fault('ambient-routes', 'a VirtualService in ambient', 'ambient', [], {
    ...object('networking.istio.io/v1', 'VirtualService', 'other'),
    spec: { hosts: ['tensorgate-canary.inference.svc.cluster.local'], http: [] },
  }),
  fault('filters-reach', "a filter in the server's namespace", 'sidecar-orca', [
    set('EnvoyFilter/tensorgate-orca-wrr', 'metadata/namespace', 'inference'),
  ]),
  fault('filter-priority', 'filters in the order of their birth', 'sidecar-orca', [
    set('EnvoyFilter/tensorgate-orca-wrr', 'spec/priority'),
  ]),
  fault('orca-alone', 'locality beside ORCA', 'sidecar-orca', [
    set(RULE, 'spec/trafficPolicy/loadBalancer/localityLbSetting', {
      enabled: true,
      failoverPriority: ['topology.kubernetes.io/zone'],
    }),
  ]),
  fault('orca-alone', 'hashing beside ORCA', 'sidecar-orca', [
    set(RULE, 'spec/trafficPolicy/loadBalancer/consistentHash', { httpHeaderName: 'x-user' }),
  ]),
  fault('one-telemetry', 'no provider', 'sidecar', [set('Telemetry/tensorgate', 'spec/accessLogging/0/providers')]),
  fault('one-telemetry', 'two of a namespace', 'sidecar', [], {
    ...object('telemetry.istio.io/v1', 'Telemetry', 'other'),
    spec: { tracing: [{ providers: [{ name: 'otel' }] }] },
  }),
  fault('network-admits', 'no way for probes', 'sidecar', [set('NetworkPolicy/tensorgate', 'spec/ingress/2')]),
  fault('network-admits', 'no way for the mesh', 'ambient', [set('NetworkPolicy/tensorgate', 'spec/ingress/2')]),
  fault('waypoint-enrolled', 'a Service past the waypoint', 'ambient', [
    set('Service/tensorgate-stable', 'metadata/labels/istio.io~1use-waypoint'),
  ]),
  fault('made-by-flagger', 'a Service that Flagger makes', 'flagger', [], {
    ...object('v1', 'Service', 'tensorgate-canary'),
    spec: { selector: { app: 'tensorgate' }, ports: [] },
  }),
  fault('tracks-of-rollout', 'a Service of a track', 'argo-rollouts', [], {
    ...object('v1', 'Service', 'tensorgate-stable'),
    spec: { selector: { app: 'tensorgate', track: 'stable' }, ports: [] },
  }),
  fault('one-canary', 'a canary beside Argo Rollouts', 'sidecar-canary', [], {
    ...object('argoproj.io/v1alpha1', 'Rollout', 'tensorgate'),
    spec: { strategy: { canary: { analysis: { templates: [] } } } },
  }),

  // Scaling
  fault('one-scaler', 'HPA and KEDA', 'sidecar-hpa', [], {
    ...object('keda.sh/v1alpha1', 'ScaledObject', 'tensorgate'),
    spec: { scaleTargetRef: { kind: 'Deployment', name: 'tensorgate' } },
  }),
  fault('scaler-owns-replicas', 'replicas that each apply resets', 'sidecar-hpa', [
    set(DEPLOYMENT, 'spec/replicas', 3),
  ]),
  fault('scaler-target', 'a scaler of nothing', 'sidecar-hpa', [
    set('HorizontalPodAutoscaler/tensorgate', 'spec/scaleTargetRef/name', 'gateway'),
  ]),
  fault('scaler-target', "a scaler of a Rollout's template", 'argo-rollouts', [], {
    ...object('keda.sh/v1alpha1', 'ScaledObject', 'tensorgate'),
    spec: { scaleTargetRef: { kind: 'Deployment', name: 'tensorgate' } },
  }),
  fault('flagger-scaler', 'a scaler that Flagger does not know', 'flagger', [], {
    ...object('keda.sh/v1alpha1', 'ScaledObject', 'tensorgate'),
    spec: { scaleTargetRef: { kind: 'Deployment', name: 'tensorgate' } },
  }),
  fault('container-cpu', 'the CPU of the pod', 'sidecar-hpa', [
    set('HorizontalPodAutoscaler/tensorgate', 'spec/metrics/0', { type: 'Resource', resource: { name: 'cpu' } }),
  ]),
  fault('budget-lets-go', 'a budget that lets none go', 'plain', [
    set('PodDisruptionBudget/tensorgate', 'spec/maxUnavailable'),
    set('PodDisruptionBudget/tensorgate', 'spec/minAvailable', 3),
  ]),
  fault('budget-lets-go', 'no budget', 'plain', [gone('PodDisruptionBudget/tensorgate')]),

  // Queries
  fault('query-syntax', 'a bracket that is not closed', 'sidecar-hpa', [
    set('PrometheusRule/tensorgate', 'spec/groups/0/rules/0/expr', 'sum(rate(tensorgate_requests_total[5m]) > 1'),
  ]),
  fault('query-syntax', 'no query', 'flagger', [set('MetricTemplate/tensorgate-faults', 'spec/query', ' ')]),
  fault('series-exist', 'a metric that is not exported', 'sidecar-hpa', [
    set('PrometheusRule/tensorgate', 'spec/groups/0/rules/0/expr', 'tensorgate_errors_total > 0'),
  ]),
  fault('series-exist', 'a histogram without its buckets', 'sidecar-hpa', [
    set('PrometheusRule/tensorgate', 'spec/groups/0/rules/0/expr', 'tensorgate_queue_duration_seconds > 0'),
  ]),
  fault('series-exist', 'a label that the metric has not', 'flagger', [
    set('MetricTemplate/tensorgate-faults', 'spec/query', 'sum(tensorgate_requests_total{method="ModelInfer"})'),
  ]),
  fault('series-exist', 'a status that there is not', 'argo-rollouts', [
    set(
      'AnalysisTemplate/tensorgate',
      'spec/metrics/1/provider/prometheus/query',
      'sum(tensorgate_requests_total{status="ERROR"})',
    ),
  ]),
  fault('grpc-status', 'success by HTTP statuses', 'flagger', [
    set('MetricTemplate/tensorgate-success', 'spec/query', 'sum(rate(istio_requests_total{response_code!~"5.*"}[1m]))'),
  ]),
  fault('grpc-status', "Flagger's own success rate", 'flagger', [
    set('Canary/tensorgate', 'spec/analysis/metrics/0', { name: 'request-success-rate', thresholdRange: { min: 99 } }),
  ]),
  fault('pod-labels', 'a label that is not copied', 'flagger', [
    set('PodMonitor/tensorgate', 'spec/podTargetLabels/0'),
  ]),
  fault('pod-labels', "a label that hides the gateway's", 'flagger', [
    set('PodMonitor/tensorgate', 'spec/podTargetLabels/-', 'version'),
  ]),
  fault('pod-labels', 'no monitor', 'argo-rollouts', [gone('PodMonitor/tensorgate')]),
  fault('analysis-exists', 'a template that is not there', 'flagger', [gone('MetricTemplate/tensorgate-latency')]),
  fault('analysis-exists', 'a canary that nobody judges', 'argo-rollouts', [
    set('Rollout/tensorgate', 'spec/strategy/canary/analysis'),
  ]),
];

function fault(
  rule: string,
  text: string,
  name: string,
  changes: readonly Change[],
  ...added: readonly Added[]
): Fault {
  return { rule, fault: text, in: name, changes, added };
}

/** Without a value, the field is removed. */
function set(object: string, at: string, value?: unknown): Change {
  return { object, at, value };
}

function gone(object: string): Change {
  return { object };
}

function object(apiVersion: string, kind: string, name: string): KubeObject {
  return { apiVersion, kind, metadata: metadata(name) };
}
