/**
 * The objects of a build, as far as the rules read them. Everything is optional: whether an object has the right shape is
 * for the API server to say (`test/deploy/dry-run.sh`), and a rule must not stumble over one that has not.
 */

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Labels;
  readonly annotations?: Labels;
}

export type Labels = Readonly<Record<string, string>>;

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
}

export interface Selector {
  readonly matchLabels?: Labels;
}

export interface Probe {
  readonly grpc?: { readonly port?: unknown; readonly service?: string };
  readonly httpGet?: { readonly path?: string; readonly port?: unknown };
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name: string } }[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly startupProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } };
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string | number>>;
    readonly limits?: Readonly<Record<string, string | number>>;
  };
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly runAsNonRoot?: boolean;
    readonly capabilities?: { readonly drop?: readonly string[] };
  };
}

export interface Volume {
  readonly name: string;
  readonly emptyDir?: { readonly medium?: string; readonly sizeLimit?: string };
  readonly image?: { readonly reference?: string };
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly enableServiceLinks?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: { readonly runAsNonRoot?: boolean; readonly seccompProfile?: { readonly type?: string } };
}

export interface Deployment extends KubeObject {
  readonly spec: {
    readonly replicas?: number;
    readonly selector?: Selector;
    readonly template: { readonly metadata?: Partial<Metadata>; readonly spec: PodSpec };
  };
}

export interface Service extends KubeObject {
  readonly spec: {
    readonly clusterIP?: string;
    readonly selector?: Labels;
    readonly ports?: readonly {
      readonly name?: string;
      readonly port: number;
      readonly targetPort?: string | number;
      readonly appProtocol?: string;
    }[];
  };
}

export interface ConfigMap extends KubeObject {
  readonly data?: Labels;
}

export interface Destination {
  readonly host: string;
  readonly subset?: string;
}

export interface Retries {
  readonly attempts?: number;
  readonly perTryTimeout?: string;
  readonly retryOn?: string;
  readonly backoff?: string;
  readonly retryIgnorePreviousHosts?: boolean;
}

export interface HttpRoute {
  readonly name?: string;
  readonly match?: readonly {
    readonly uri?: { readonly exact?: string; readonly prefix?: string; readonly regex?: string };
    readonly headers?: Readonly<Record<string, unknown>>;
  }[];
  readonly route?: readonly { readonly destination: Destination; readonly weight?: number }[];
  readonly delegate?: { readonly name?: string };
  readonly mirror?: Destination;
  readonly mirrors?: readonly { readonly destination: Destination }[];
  readonly timeout?: string;
  readonly retries?: Retries;
}

export interface VirtualService extends KubeObject {
  readonly spec: { readonly hosts?: readonly string[]; readonly http?: readonly HttpRoute[] };
}

export interface TrafficPolicy {
  readonly loadBalancer?: {
    readonly consistentHash?: object;
    readonly localityLbSetting?: {
      readonly enabled?: boolean;
      readonly failover?: object;
      readonly failoverPriority?: object;
      readonly distribute?: object;
    };
  };
  readonly outlierDetection?: {
    readonly consecutive5xxErrors?: number;
    readonly consecutiveGatewayErrors?: number;
  };
  readonly retryBudget?: { readonly percent?: number };
}

export interface DestinationRule extends KubeObject {
  readonly spec: {
    readonly host: string;
    readonly trafficPolicy?: TrafficPolicy;
    readonly subsets?: readonly { readonly name: string; readonly labels?: Labels }[];
  };
}

export interface TargetRef {
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
  readonly port?: number;
}

export interface BackendRef {
  /** `Service` by default. */
  readonly kind?: string;
  readonly name: string;
  readonly weight?: number;
}

/** HTTPRoute and GRPCRoute. */
export interface GatewayRoute extends KubeObject {
  readonly spec: {
    readonly parentRefs?: readonly TargetRef[];
    readonly rules?: readonly {
      readonly name?: string;
      readonly matches?: readonly {
        readonly path?: { readonly type?: string; readonly value?: string };
        readonly method?: string | { readonly service?: string; readonly method?: string };
        readonly headers?: readonly { readonly name: string }[];
      }[];
      readonly timeouts?: { readonly request?: string };
      readonly backendRefs?: readonly BackendRef[];
    }[];
  };
}

export interface AuthorizationPolicy extends KubeObject {
  readonly spec: {
    readonly selector?: Selector;
    readonly targetRefs?: readonly TargetRef[];
    readonly action?: string;
    readonly rules?: readonly {
      readonly from?: readonly {
        readonly source?: {
          readonly principals?: readonly string[];
          readonly notPrincipals?: readonly string[];
          readonly requestPrincipals?: readonly string[];
          readonly notRequestPrincipals?: readonly string[];
        };
      }[];
      readonly to?: readonly {
        readonly operation?: {
          readonly ports?: readonly string[];
          readonly paths?: readonly string[];
          readonly methods?: readonly string[];
          readonly hosts?: readonly string[];
        };
      }[];
    }[];
  };
}

export interface PeerAuthentication extends KubeObject {
  readonly spec?: {
    readonly selector?: Selector;
    readonly mtls?: { readonly mode?: string };
    readonly portLevelMtls?: object;
  };
}

export interface RequestAuthentication extends KubeObject {
  readonly spec: { readonly selector?: Selector; readonly targetRefs?: readonly TargetRef[] };
}

export interface EnvoyFilter extends KubeObject {
  readonly spec: {
    readonly priority?: number;
    readonly configPatches?: readonly {
      readonly match?: { readonly context?: string };
      readonly patch?: { readonly value?: object };
    }[];
  };
}

export interface Telemetry extends KubeObject {
  readonly spec: {
    readonly selector?: Selector;
    readonly targetRefs?: readonly TargetRef[];
    readonly accessLogging?: readonly { readonly providers?: readonly object[] }[];
    readonly tracing?: readonly { readonly providers?: readonly object[] }[];
    readonly metrics?: readonly { readonly providers?: readonly object[] }[];
  };
}

export interface NetworkPolicy extends KubeObject {
  readonly spec: {
    readonly podSelector?: Selector;
    readonly ingress?: readonly { readonly ports?: readonly { readonly port?: number }[] }[];
  };
}

export interface PodDisruptionBudget extends KubeObject {
  readonly spec: {
    readonly selector?: Selector;
    readonly minAvailable?: string | number;
    readonly maxUnavailable?: string | number;
  };
}

interface ScaleTargetRef {
  readonly kind?: string;
  readonly name: string;
}

export interface HorizontalPodAutoscaler extends KubeObject {
  readonly spec: {
    readonly scaleTargetRef: ScaleTargetRef;
    readonly minReplicas?: number;
    readonly metrics?: readonly {
      readonly type: string;
      readonly containerResource?: { readonly container?: string };
    }[];
  };
}

export interface ScaledObject extends KubeObject {
  readonly spec: {
    readonly scaleTargetRef: ScaleTargetRef;
    readonly triggers?: readonly { readonly type: string; readonly metadata?: Labels }[];
  };
}

export interface Sidecar extends KubeObject {
  readonly spec: { readonly workloadSelector?: { readonly labels?: Labels } };
}

export interface PodMonitor extends KubeObject {
  readonly spec: { readonly selector?: Selector; readonly podTargetLabels?: readonly string[] };
}

export interface Canary extends KubeObject {
  readonly spec: {
    readonly targetRef: { readonly name: string };
    readonly autoscalerRef?: { readonly kind: string; readonly name: string };
    readonly service: {
      readonly name?: string;
      readonly portName?: string;
      readonly delegation?: boolean;
      readonly retries?: Retries;
      readonly timeout?: string;
      readonly trafficPolicy?: TrafficPolicy;
    };
    readonly analysis?: {
      readonly metrics?: readonly { readonly name: string; readonly templateRef?: { readonly name: string } }[];
    };
  };
}

export interface MetricTemplate extends KubeObject {
  readonly spec: { readonly query?: string };
}

export interface Rollout extends KubeObject {
  readonly spec: {
    readonly replicas?: number;
    readonly selector?: Selector;
    readonly workloadRef?: { readonly name: string };
    readonly strategy?: {
      readonly canary?: {
        readonly analysis?: { readonly templates?: readonly { readonly templateName: string }[] };
        readonly trafficRouting?: {
          readonly istio?: {
            readonly virtualService?: { readonly name: string; readonly routes?: readonly string[] };
            readonly destinationRule?: {
              readonly name: string;
              readonly stableSubsetName: string;
              readonly canarySubsetName: string;
            };
          };
        };
      };
    };
  };
}

export interface AnalysisTemplate extends KubeObject {
  readonly spec: {
    readonly metrics?: readonly {
      readonly name: string;
      readonly provider?: { readonly prometheus?: { readonly query?: string } };
    }[];
  };
}

export interface PrometheusRule extends KubeObject {
  readonly spec: {
    readonly groups?: readonly {
      readonly name?: string;
      readonly rules?: readonly { readonly alert?: string; readonly record?: string; readonly expr?: string }[];
    }[];
  };
}

export interface Kinds {
  readonly AnalysisTemplate: AnalysisTemplate;
  readonly AuthorizationPolicy: AuthorizationPolicy;
  readonly Canary: Canary;
  readonly ConfigMap: ConfigMap;
  readonly Deployment: Deployment;
  readonly DestinationRule: DestinationRule;
  readonly EnvoyFilter: EnvoyFilter;
  readonly GRPCRoute: GatewayRoute;
  readonly Gateway: KubeObject;
  readonly HTTPRoute: GatewayRoute;
  readonly HorizontalPodAutoscaler: HorizontalPodAutoscaler;
  readonly InferencePool: KubeObject;
  readonly MetricTemplate: MetricTemplate;
  readonly NetworkPolicy: NetworkPolicy;
  readonly PeerAuthentication: PeerAuthentication;
  readonly PodDisruptionBudget: PodDisruptionBudget;
  readonly PodMonitor: PodMonitor;
  readonly PrometheusRule: PrometheusRule;
  readonly RequestAuthentication: RequestAuthentication;
  readonly Rollout: Rollout;
  readonly ScaledObject: ScaledObject;
  readonly Service: Service;
  readonly Sidecar: Sidecar;
  readonly Telemetry: Telemetry;
  readonly VirtualService: VirtualService;
}
