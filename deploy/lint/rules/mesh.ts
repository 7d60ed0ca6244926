/** The data plane: its members, and the changes to its proxies. */

import { SettingsError } from '../../../src/gateway/ops/settings-error.ts';
import { type Build, NAME, NAME_LABEL, planeOf, selects } from '../build.ts';
import { found, missing, type Rule } from '../rule.ts';

const ORCA = 'client_side_weighted_round_robin';

function hasOrca(build: Build): boolean {
  return build.of('EnvoyFilter').some((filter) => JSON.stringify(filter.spec).includes(ORCA));
}

export const MESH_RULES: readonly Rule[] = [
  {
    id: 'one-data-plane',
    prevents:
      'a Deployment without the mesh beside others in it: its calls are refused, or nobody is asked for an identity',
    check: (build) => {
      const planes = build.dataPlanes;
      if (planes.size > 1) {
        return build.workloads
          .filter(({ labels }) => planeOf(labels) === 'none')
          .map(({ object }) =>
            found(
              object,
              'its pods are in no data plane: a component that brings a Deployment has to come before istio-sidecar or istio-ambient',
            ),
          );
      }
      const both = build.workloads.filter(
        ({ labels }) => labels['sidecar.istio.io/inject'] === 'true' && labels['istio.io/dataplane-mode'] === 'ambient',
      );
      return both.map(({ object }) =>
        found(object, 'it has a sidecar and is in ambient: one of istio-sidecar and istio-ambient'),
      );
    },
  },
  {
    id: 'mesh-needed',
    prevents: 'objects of Istio without a data plane of the pods have no effect, or refuse all that is cleartext',
    check: (build) => {
      const istio = ['DestinationRule', 'VirtualService', 'PeerAuthentication', 'EnvoyFilter'] as const;
      if (!build.dataPlanes.has('none') || build.workloads.length === 0) return [];
      return istio.flatMap((kind) =>
        build
          .of(kind)
          .map((object) => found(object, 'pods are in no data plane: istio-sidecar or istio-ambient is missing')),
      );
    },
  },
  {
    id: 'mesh-encrypts',
    prevents: 'a proxy cannot read RPCs that the server encrypts itself: no routes, policies or metrics by RPC',
    check: (build) =>
      build.workloads.flatMap((workload) => {
        const settings = build.settingsOf(workload);
        // settings-accepted reports it.
        if (settings instanceof SettingsError || settings.tlsCertificate === undefined) return [];
        if (planeOf(workload.labels) === 'none') return [];
        return [found(workload.object, 'tlsCertificate is set in a mesh, which encrypts already: drop components/tls')];
      }),
  },
  {
    id: 'pool-routed',
    prevents:
      'a pool that no route names, or whose picker cannot read the metrics of pods, chooses no pod by its queue',
    check: (build) => {
      const backends = build
        .of('HTTPRoute')
        .flatMap(({ spec }) => (spec.rules ?? []).flatMap(({ backendRefs }) => backendRefs ?? []));
      return build
        .of('InferencePool')
        .flatMap((pool) => [
          ...(backends.some(({ kind, name }) => kind === 'InferencePool' && name === pool.metadata.name)
            ? []
            : [found(pool, 'no HTTPRoute names it: ingress has to come before inference-pool')]),
          ...(build.dataPlanes.has('ambient')
            ? [found(pool, 'in ambient, pods accept only the waypoint: use istio-sidecar')]
            : []),
        ]);
    },
  },
  {
    id: 'ambient-routes',
    prevents: 'waypoints take VirtualServices as alpha, and never beside routes of the Gateway API',
    check: (build) =>
      build.dataPlanes.has('ambient')
        ? build.of('VirtualService').map((object) => found(object, 'ambient has route-httproute or route-grpcroute'))
        : [],
  },
  {
    id: 'filters-reach',
    prevents:
      'a filter for the proxies of clients lies in the namespace of the server, whose filters clients never see; waypoints take none',
    check: (build) =>
      build.of('EnvoyFilter').flatMap((filter) => {
        const outbound = filter.spec.configPatches?.some(({ match }) => match?.context === 'SIDECAR_OUTBOUND') === true;
        return [
          ...(build.dataPlanes.has('ambient') ? [found(filter, 'ambient takes no EnvoyFilter')] : []),
          ...(outbound && filter.metadata.namespace !== 'istio-system'
            ? [found(filter, 'it is for clients, and has to be in istio-system')]
            : []),
        ];
      }),
  },
  {
    id: 'filter-priority',
    prevents: 'the order in which filters are applied is that in which they were made',
    check: (build) =>
      build
        .of('EnvoyFilter')
        .filter(({ spec }) => spec.priority === undefined)
        .map((filter) => found(filter, 'priority is missing')),
  },
  {
    id: 'orca-alone',
    prevents:
      'Envoy rejects every cluster of the Service that has ORCA weights and locality or hashing, and kubectl says nothing',
    check: (build) => {
      if (!hasOrca(build)) return [];
      return build.destinationRules.flatMap((rule) => {
        const { consistentHash, localityLbSetting: locality } = rule.spec.trafficPolicy?.loadBalancer ?? {};
        const other = [
          ...(consistentHash === undefined ? [] : ['consistentHash']),
          ...(locality?.enabled === false ? [] : ['localityLbSetting']),
          ...(['failover', 'failoverPriority', 'distribute'] as const).filter((name) => locality?.[name] !== undefined),
        ];
        return other.map((name) => found(rule, `${name} excludes the ORCA weights of components/orca-wrr`));
      });
    },
  },
  {
    id: 'one-telemetry',
    prevents: 'of two Telemetry objects of a namespace one counts, and an entry without a provider is ignored',
    check: (build) => {
      const whole = build
        .of('Telemetry')
        .filter(({ spec }) => spec.selector === undefined && spec.targetRefs === undefined);
      const bare = build
        .of('Telemetry')
        .filter(({ spec }) =>
          [...(spec.accessLogging ?? []), ...(spec.tracing ?? []), ...(spec.metrics ?? [])].some(
            ({ providers }) => !providers?.length,
          ),
        );
      return [
        ...whole.slice(1).map((object) => found(object, 'there is another one without a selector')),
        ...bare.map((object) => found(object, 'an entry names no provider')),
      ];
    },
  },
  {
    id: 'network-admits',
    prevents: 'a NetworkPolicy keeps out calls, the mesh or its probes, which look like a gateway that is down',
    check: (build) => {
      const ports: readonly number[] = [
        8001,
        ...(build.dataPlanes.has('sidecar') ? [15_020, 15_021] : []),
        ...(build.dataPlanes.has('ambient') ? [15_008] : []),
      ];
      return build.of('NetworkPolicy').flatMap((policy) => {
        if (!build.workloads.some(({ labels }) => selects(policy.spec.podSelector, labels))) return [];
        const open = (policy.spec.ingress ?? []).flatMap((rule) => rule.ports ?? []).map(({ port }) => port);
        return ports
          .filter((port) => !open.includes(port))
          .map((port) => found(policy, `it does not let port ${port} in`));
      });
    },
  },
  {
    id: 'waypoint-enrolled',
    prevents: 'a Service without a waypoint is called past it, and refused by the pods',
    check: (build) =>
      build.dataPlanes.has('ambient')
        ? build
            .of('Service')
            .filter(
              ({ metadata }) =>
                metadata.labels?.[NAME_LABEL] === NAME && metadata.labels['istio.io/use-waypoint'] === undefined,
            )
            .map((service) =>
              found(
                service,
                'it has no label istio.io/use-waypoint: a component that brings a Service has to come before istio-ambient',
              ),
            )
        : [],
  },
  {
    id: 'made-by-flagger',
    prevents: 'Flagger and the build write the same Service or rule, in turns',
    check: (build) =>
      build.of('Canary').flatMap(({ spec }) => {
        const { name = spec.targetRef.name } = spec.service;
        const made = [name, `${name}-primary`, `${name}-canary`];
        return [...build.of('Service'), ...build.of('DestinationRule')]
          .filter(({ metadata }) => made.includes(metadata.name))
          .map((object) => found(object, 'Flagger makes this one'));
      }),
  },
  {
    id: 'tracks-of-rollout',
    prevents:
      'a Service of one track has the pods of both: those of a Rollout are from one template, and the weight counts for nothing',
    check: (build) =>
      build.of('Rollout').flatMap((rollout) =>
        build
          .of('Service')
          .filter(({ spec }) => spec.selector?.['track'] !== undefined)
          .filter(({ spec }) => selects(rollout.spec.selector, spec.selector ?? {}))
          .map((service) => found(service, 'it selects by track, which Argo Rollouts does not know')),
      ),
  },
  {
    id: 'one-canary',
    prevents: 'two of Flagger, Argo Rollouts and the plain canary write the same weights',
    check: (build) => {
      const tracks = build.deployments.map(({ spec }) => spec.template.metadata?.labels?.['track']);
      const ways = [
        ...(tracks.includes('canary') ? ['components/canary'] : []),
        ...(build.of('Canary').length > 0 ? ['Flagger'] : []),
        ...(build.of('Rollout').length > 0 ? ['Argo Rollouts'] : []),
      ];
      return ways.length > 1 ? [missing(`${ways.join(' and ')}: one of them`)] : [];
    },
  },
];
