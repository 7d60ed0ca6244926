/** What runs: Deployments of the gateway, their probes, memory, ends, and what they are fenced with. */

import { parse } from 'yaml';
import { INFERENCE_SERVICE } from '../../../src/gateway/accept/inference-service.ts';
import type { Settings } from '../../../src/gateway/ops/settings.ts';
import { SettingsError } from '../../../src/gateway/ops/settings-error.ts';
import { type Build, NAME, planeOf, type Workload } from '../build.ts';
import type { Container, Probe } from '../kinds.ts';
import { durationMs, type Finding, found, quantityBytes, type Rule } from '../rule.ts';

/** For the runners to end, and the proxy. */
const SLACK_MS = 5_000;

function gatewayOf({ pod }: Workload): Container | undefined {
  return pod.containers.find(({ name }) => name === NAME);
}

/** What `check` finds for each workload whose gateway would start. */
function forEachGateway(
  build: Build,
  check: (workload: Workload, gateway: Container, settings: Settings) => readonly string[],
): Finding[] {
  return build.workloads.flatMap((workload) => {
    const gateway = gatewayOf(workload);
    if (gateway === undefined) return [found(workload.object, `there is no container '${NAME}'`)];
    const settings = build.settingsOf(workload);
    // settings-accepted reports it.
    if (settings instanceof SettingsError) return [];
    return check(workload, gateway, settings).map((text) => found(workload.object, text));
  });
}

function containersOf({ pod }: Workload): readonly Container[] {
  return [...pod.containers, ...(pod.initContainers ?? [])];
}

const DIGEST = /@sha256:[0-9a-f]{64}$/;

export const POD_RULES: readonly Rule[] = [
  {
    id: 'settings-accepted',
    prevents: 'the gateway refuses to start: a setting that it does not know, or a value that is not legal',
    check: (build) =>
      build.workloads.flatMap((workload) => {
        const settings = build.settingsOf(workload);
        const problems = settings instanceof SettingsError ? settings.problems : [];
        return problems.map((problem) => found(workload.object, problem));
      }),
  },
  {
    id: 'reachable',
    prevents: 'the gateway listens where nobody reaches it, or on other ports than the pod says',
    check: (build) =>
      forEachGateway(build, (_, { ports = [] }, { host, grpcPort, httpPort, adminPort }) => [
        ...(host === '127.0.0.1' ? ['host is loopback: set TENSORGATE_HOST=0.0.0.0'] : []),
        ...[grpcPort, httpPort, ...(adminPort === undefined ? [] : [adminPort])]
          .filter((port) => !ports.some(({ containerPort }) => containerPort === port))
          .map((port) => `the gateway listens on ${port}, which is no port of the container`),
      ]),
  },
  {
    id: 'rest-guarded',
    prevents: 'REST is a second way to every RPC, on a port whose policies know /metrics alone',
    check: (build) =>
      build.dataPlanes.has('none')
        ? []
        : forEachGateway(build, (_, __, { rest }) =>
            rest === 'on' ? ['REST is on: set TENSORGATE_REST=off, or write policies for /v2'] : [],
          ),
  },
  {
    id: 'control-guarded',
    prevents:
      'without a mesh nobody asks who calls, and whoever may infer may change the server; in one, policies know the port of all',
    check: (build) =>
      forEachGateway(build, ({ labels }, _, { adminPort }) => {
        const inMesh = planeOf(labels) !== 'none';
        if (inMesh === (adminPort === undefined)) return [];
        return [
          inMesh
            ? 'adminPort is set: in a mesh the policies guard control on the port of all'
            : 'adminPort is not set: take components/admin-port, or a data plane',
        ];
      }),
  },
  {
    id: 'grace-adds-up',
    prevents: 'the kubelet kills the gateway while it answers what it accepted',
    check: (build) =>
      forEachGateway(build, ({ pod }, { lifecycle }, { lameDuckMs, drainTimeoutMs, maxDeadlineMs }) => {
        const preStopMs = (lifecycle?.preStop?.sleep?.seconds ?? 0) * 1_000;
        const graceMs = (pod.terminationGracePeriodSeconds ?? 30) * 1_000;
        const needed = preStopMs + lameDuckMs + drainTimeoutMs + SLACK_MS;
        return [
          ...(graceMs < needed
            ? [
                `terminationGracePeriodSeconds ${graceMs / 1_000} is less than preStop + lameDuckMs + drainTimeoutMs + 5 s = ${needed / 1_000}`,
              ]
            : []),
          ...(drainTimeoutMs <= maxDeadlineMs
            ? [`drainTimeoutMs ${drainTimeoutMs} is not above maxDeadlineMs ${maxDeadlineMs}: calls are given up`]
            : []),
          ...(preStopMs + lameDuckMs < 5_000
            ? [
                'lameDuckMs (with a preStop sleep) is under 5 s: calls still come from those who have not heard that the pod ends',
              ]
            : []),
        ];
      }),
  },
  {
    id: 'proxy-outlives',
    prevents: 'a classic sidecar exits before the gateway has answered, and cuts what is under way',
    check: (build) =>
      forEachGateway(build, ({ object, labels }, _, { lameDuckMs, drainTimeoutMs }) => {
        if (labels['sidecar.istio.io/inject'] !== 'true') return [];
        const template = build.deployments.find((deployment) => deployment === object)?.spec.template;
        const proxy = readProxyConfig(template?.metadata?.annotations?.['proxy.istio.io/config']);
        const drain = durationMs(proxy.terminationDrainDuration) ?? 5_000;
        const least = durationMs(proxy.proxyMetadata?.MINIMUM_DRAIN_DURATION) ?? 5_000;
        return [
          ...(drain < lameDuckMs + drainTimeoutMs
            ? [`proxy.istio.io/config: terminationDrainDuration ${drain} ms is less than lameDuckMs + drainTimeoutMs`]
            : []),
          ...(proxy.proxyMetadata?.EXIT_ON_ZERO_ACTIVE_CONNECTIONS === 'true' && least < lameDuckMs
            ? [`proxy.istio.io/config: MINIMUM_DRAIN_DURATION ${least} ms is less than lameDuckMs`]
            : []),
        ];
      }),
  },
  {
    id: 'probes',
    prevents:
      'a probe of a name or port that the gateway does not know never succeeds; a liveness probe that fails while models load kills the pod',
    check: (build) => forEachGateway(build, (_, gateway, settings) => probeFaults(gateway, settings)),
  },
  {
    id: 'mailbox',
    prevents: 'tensors of batches find no room, or the pod is killed for memory that nobody counted',
    check: (build) => forEachGateway(build, mailboxFaults),
  },
  {
    id: 'cores-bounded',
    prevents: 'without a limit each model gets an instance for every core of the node',
    check: (build) =>
      forEachGateway(build, (_, { resources }) =>
        resources?.limits?.['cpu'] === undefined ? ['resources.limits.cpu is missing'] : [],
      ),
  },
  {
    id: 'digests',
    prevents: 'the same manifests are another program tomorrow, because a tag was moved',
    check: (build) =>
      build.workloads.flatMap((workload) => [
        ...containersOf(workload)
          .filter(({ image }) => !DIGEST.test(image ?? ''))
          .map(({ name, image }) => found(workload.object, `container ${name}: ${image} names no digest`)),
        ...(workload.pod.volumes ?? [])
          .filter(({ image }) => image !== undefined && !DIGEST.test(image.reference ?? ''))
          .map(({ name, image }) => found(workload.object, `volume ${name}: ${image?.reference} names no digest`)),
      ]),
  },
  {
    id: 'fenced',
    prevents: 'whoever takes over the process gets the rights of root, a token of the API server, or files to change',
    check: (build) =>
      build.workloads.flatMap((workload) => {
        const { pod, object } = workload;
        const faults = [
          ...(pod.automountServiceAccountToken === false ? [] : ['automountServiceAccountToken has to be false']),
          ...(pod.securityContext?.runAsNonRoot === true ? [] : ['securityContext.runAsNonRoot has to be true']),
          ...(pod.securityContext?.seccompProfile?.type === 'RuntimeDefault'
            ? []
            : ['seccompProfile has to be RuntimeDefault']),
          ...containersOf(workload).flatMap(({ name, securityContext: context }) => [
            ...(context?.allowPrivilegeEscalation === false
              ? []
              : [`container ${name}: allowPrivilegeEscalation has to be false`]),
            ...(context?.readOnlyRootFilesystem === true
              ? []
              : [`container ${name}: readOnlyRootFilesystem has to be true`]),
            ...(context?.capabilities?.drop?.includes('ALL')
              ? []
              : [`container ${name}: capabilities have to be dropped`]),
          ]),
        ];
        return faults.map((text) => found(object, text));
      }),
  },
  {
    id: 'service-links',
    prevents: 'the variables by which Kubernetes tells of a Service tensorgate are named like settings of the gateway',
    check: (build) =>
      build.workloads
        .filter(({ pod }) => pod.enableServiceLinks !== false)
        .map(({ object }) => found(object, 'enableServiceLinks has to be false')),
  },
  {
    id: 'volume-source',
    prevents:
      'two components bring models: the API server refuses a volume with two sources, or each overwrites the other',
    check: (build) =>
      build.workloads.flatMap(({ pod, object }) =>
        (pod.volumes ?? []).flatMap(({ name, ...sources }) => {
          const kinds = Object.keys(sources);
          const fillers = (pod.initContainers ?? [])
            .filter(({ volumeMounts }) => volumeMounts?.some((mount) => mount.name === name))
            .map((container) => container.name);
          return [
            ...(kinds.length === 1
              ? []
              : [found(object, `volume ${name} has the sources ${kinds.join(', ') || 'none'}`)]),
            ...(fillers.length < 2 ? [] : [found(object, `volume ${name} is filled by ${fillers.join(' and ')}`)]),
          ];
        }),
      ),
  },
];

interface ProxyConfig {
  readonly terminationDrainDuration?: string;
  readonly proxyMetadata?: Readonly<
    Record<'MINIMUM_DRAIN_DURATION' | 'EXIT_ON_ZERO_ACTIVE_CONNECTIONS', string | undefined>
  >;
}

function readProxyConfig(text: string | undefined): ProxyConfig {
  const value: unknown = text === undefined ? {} : parse(text);
  return typeof value === 'object' && value !== null ? value : {};
}

/** Names that the gateway's health service knows besides its models, which are not the pod's business. */
const HEALTH_NAMES: readonly string[] = ['', INFERENCE_SERVICE];

function probeFaults({ livenessProbe, readinessProbe, startupProbe }: Container, settings: Settings): string[] {
  if (readinessProbe === undefined) return ['there is no readinessProbe: traffic comes before models are loaded'];
  if (livenessProbe === undefined) return ['there is no livenessProbe: a gateway that hangs stays'];
  const probes: Record<string, Probe | undefined> = { livenessProbe, readinessProbe, startupProbe };
  const faults = Object.entries(probes).flatMap(([name, probe]) => {
    if (probe === undefined) return [];
    const port = probe.grpc?.port ?? probe.httpGet?.port;
    const right = probe.grpc === undefined ? settings.httpPort : settings.grpcPort;
    const wanted = { livenessProbe: '/livez', readinessProbe: '/readyz', startupProbe: '/livez' }[name];
    return [
      ...(port === right
        ? []
        : [`${name}: port ${String(port)} is not ${right}, the number that the gateway listens on`]),
      ...(probe.grpc === undefined || HEALTH_NAMES.includes(probe.grpc.service ?? '')
        ? []
        : [`${name}: the gateway's health service does not know '${probe.grpc.service}'`]),
      ...(probe.httpGet === undefined || probe.httpGet.path === wanted
        ? []
        : [`${name}: path ${probe.httpGet.path} is not ${wanted}`]),
    ];
  });
  if (livenessProbe.grpc !== undefined)
    faults.push('livenessProbe asks gRPC health, which is NOT_SERVING while models load and while the server drains');
  return faults;
}

function mailboxFaults({ pod }: Workload, { volumeMounts, resources }: Container, settings: Settings): string[] {
  const mount = volumeMounts?.find(({ mountPath }) => mountPath === settings.mailboxDirectory);
  const volume = pod.volumes?.find(({ name }) => name === mount?.name);
  if (volume?.emptyDir?.medium !== 'Memory')
    return [`${settings.mailboxDirectory} (mailboxDirectory) is not an emptyDir of medium Memory`];
  const size = quantityBytes(volume.emptyDir.sizeLimit);
  const { memory: limit } = resources?.limits ?? {};
  const { memory: request } = resources?.requests ?? {};
  const memory = quantityBytes(limit);
  return [
    ...(size === undefined ? ['the volume of the mailbox has no sizeLimit'] : []),
    ...((size ?? Number.POSITIVE_INFINITY) < settings.maxInFlightBytes
      ? ['the mailbox is smaller than maxInFlightBytes']
      : []),
    ...(memory === undefined || limit !== request
      ? ['resources: memory has to be limited, and the request the same as the limit']
      : []),
    ...(memory !== undefined && memory < (size ?? 0) + 2 * settings.maxInFlightBytes
      ? ['resources.limits.memory is less than the mailbox and twice maxInFlightBytes']
      : []),
  ];
}
