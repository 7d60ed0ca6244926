/** How clients find the gateway's pods: Service, DestinationRule, and the names by which objects find one another. */

import { type Build, hostOf, NAME, NAME_LABEL, selects } from '../build.ts';
import type { DestinationRule, KubeObject, TrafficPolicy } from '../kinds.ts';
import { type Finding, found, type Rule } from '../rule.ts';
import { gatewayRoutes } from './routes.ts';

const GRPC_PORT = 8001;

function trafficPolicies(build: Build): { object: KubeObject; policy: TrafficPolicy | undefined }[] {
  return [
    ...build.destinationRules.map((object) => ({ object, policy: object.spec.trafficPolicy })),
    ...build.of('Canary').map((object) => ({ object, policy: object.spec.service.trafficPolicy })),
  ];
}

/** Labels of pods, under each set that they may come with. */
function podLabels(build: Build) {
  return build.workloads.map(({ labels }) => labels);
}

export const SERVICE_RULES: readonly Rule[] = [
  {
    id: 'grpc-port',
    prevents: 'a port whose protocol is not declared is balanced by connection, and no rule about RPCs matches',
    check: (build) => [
      ...build
        .of('Service')
        .filter(({ metadata }) => metadata.labels?.[NAME_LABEL] === NAME)
        .flatMap((service) => {
          const port = service.spec.ports?.find((each) => each.port === GRPC_PORT);
          if (port === undefined) return [found(service, `it has no port ${GRPC_PORT}`)];
          if (port.name === 'grpc' && port.appProtocol === 'grpc') return [];
          return [found(service, `port ${GRPC_PORT} has to have the name grpc and appProtocol grpc`)];
        }),
      ...build
        .of('Canary')
        .filter(({ spec }) => spec.service.portName !== 'grpc')
        .map((canary) => found(canary, 'service.portName has to be grpc')),
    ],
  },
  {
    id: 'port-names',
    prevents:
      'Istio takes the protocol from the name: one with an unknown beginning, such as metrics, is guessed by sniffing',
    check: (build) =>
      build
        .of('Service')
        .flatMap((service) =>
          (service.spec.ports ?? [])
            .filter(
              ({ name = '', appProtocol }) =>
                appProtocol === undefined && !/^(grpc|http|http2|https|tcp|tls)(-|$)/.test(name),
            )
            .map(({ name }) => found(service, `port '${name}' says no protocol, in its name or in appProtocol`)),
        ),
  },
  {
    id: 'no-headless',
    prevents: 'traffic to a headless Service passes Istio by: no subsets, no balancing, no outlier detection',
    check: (build) =>
      build
        .of('Service')
        .filter(({ spec }) => spec.clusterIP === 'None')
        .map((service) => found(service, 'clusterIP is None')),
  },
  {
    id: 'service-finds-pods',
    prevents: 'a Service whose selector fits no pod, or a port that no container has, answers nobody',
    check: (build) =>
      build
        .of('Service')
        // Without a canary, its track is empty on purpose.
        .filter(({ spec }) => spec.selector?.['track'] !== 'canary')
        .flatMap((service) => {
          const templates = build.of('Deployment').map(({ spec }) => spec.template);
          const chosen = templates.filter(({ metadata }) =>
            selects({ matchLabels: service.spec.selector ?? {} }, metadata?.labels ?? {}),
          );
          if (chosen.length === 0) return [found(service, 'its selector chooses the pods of no Deployment')];
          const names = chosen.flatMap(({ spec }) => spec.containers.flatMap(({ ports }) => ports ?? []));
          return (service.spec.ports ?? [])
            .filter(
              ({ port, targetPort = port }) =>
                !names.some(({ name, containerPort }) => name === targetPort || containerPort === targetPort),
            )
            .map(({ name }) => found(service, `no container has the port that '${name}' is for`));
        }),
  },
  {
    id: 'whole-hosts',
    prevents:
      'a short name means a Service in the namespace of the rule, or of the client; one that is not there answers 503',
    check: (build) => {
      const hosts = [
        ...build.of('DestinationRule').map((object) => ({ object, host: object.spec.host })),
        ...build
          .of('VirtualService')
          .flatMap((object) => [
            ...(object.spec.hosts ?? []).map((host) => ({ object, host })),
            ...(object.spec.http ?? []).flatMap(({ route, mirror, mirrors }) =>
              [
                ...(route ?? []).map(({ destination }) => destination),
                ...(mirrors ?? []).map(({ destination }) => destination),
                ...(mirror ? [mirror] : []),
              ].map(({ host }) => ({ object, host })),
            ),
          ]),
        ...gatewayRoutes(build).flatMap((object) =>
          [...(object.spec.rules ?? []).flatMap(({ backendRefs }) => backendRefs ?? [])].map(({ name }) => ({
            object,
            host: hostOf(name, object.metadata.namespace),
          })),
        ),
      ];
      return hosts
        .filter(({ host }) => !build.hosts.has(host))
        .map(({ object, host }) => found(object, `${host} is no Service of this build, by its whole name`));
    },
  },
  {
    id: 'subsets',
    prevents: 'a route to a subset that is not there, or that selects no pod, answers 503',
    check: checkSubsets,
  },
  {
    id: 'outlier-statuses',
    prevents: 'users who send five malformed requests, or call a method that does not exist, eject a healthy pod',
    check: (build) =>
      trafficPolicies(build).flatMap(({ object, policy }) => {
        const outlier = policy?.outlierDetection;
        if (outlier === undefined) return [found(object, 'there is no outlierDetection: a broken pod keeps its share')];
        return [
          ...(outlier.consecutive5xxErrors === 0
            ? []
            : [
                found(
                  object,
                  'consecutive5xxErrors has to be 0: UNKNOWN, INTERNAL and UNIMPLEMENTED are 5xx to Envoy, and absent means 5',
                ),
              ]),
          ...((outlier.consecutiveGatewayErrors ?? 0) >= 5
            ? []
            : [
                found(
                  object,
                  'consecutiveGatewayErrors has to be 5 or more: deadlines that cannot be met are 504 to Envoy',
                ),
              ]),
        ];
      }),
  },
  {
    id: 'retry-budget',
    prevents: 'when every pod is down, retries double the load; without percent, the default differs between releases',
    check: (build) =>
      build.destinationRules
        .filter(({ spec }) => spec.trafficPolicy?.retryBudget?.percent === undefined)
        .map((rule) => found(rule, 'trafficPolicy.retryBudget.percent is missing')),
  },
  {
    id: 'route-budget',
    prevents:
      "routes of the Gateway API cannot say what is retried, and Istio's two retries of everything go unbounded",
    check: (build) =>
      gatewayRoutes(build).flatMap((object) => {
        const names = (object.spec.rules ?? []).flatMap(({ backendRefs }) =>
          (backendRefs ?? []).map(({ name }) => name),
        );
        const ruled = new Set(build.of('DestinationRule').map(({ spec }) => spec.host));
        return [...new Set(names)]
          .filter((name) => !ruled.has(hostOf(name, object.metadata.namespace)))
          .map((name) => found(object, `no DestinationRule bounds the retries of ${name}`));
      }),
  },
  {
    id: 'locality-explicit',
    prevents: "outlier detection quietly switches on that each zone's clients go to the pods of that zone, however few",
    check: (build) =>
      trafficPolicies(build)
        .filter(({ policy }) => policy?.outlierDetection !== undefined)
        .filter(({ policy }) => policy?.loadBalancer?.localityLbSetting?.enabled === undefined)
        .map(({ object }) => found(object, 'loadBalancer.localityLbSetting.enabled has to be true or false')),
  },
];

function checkSubsets(build: Build): Finding[] {
  const subsets = new Map(
    build
      .of('DestinationRule')
      .flatMap(({ spec }) =>
        (spec.subsets ?? []).map(({ name, labels }) => [`${spec.host} ${name}`, labels ?? {}] as const),
      ),
  );
  const findings = build.of('VirtualService').flatMap((object) =>
    (object.spec.http ?? []).flatMap(({ name, route }) =>
      (route ?? []).flatMap(({ destination: { host, subset }, weight }) => {
        if (subset === undefined) return [];
        const labels = subsets.get(`${host} ${subset}`);
        if (labels === undefined)
          return [found(object, `route ${name}: no DestinationRule of ${host} has the subset ${subset}`)];
        if (weight === 0 || podLabels(build).some((pod) => selects({ matchLabels: labels }, pod))) return [];
        return [found(object, `route ${name}: the subset ${subset} selects no pod`)];
      }),
    ),
  );
  return [...findings, ...build.of('Rollout').flatMap((rollout) => checkRolloutSubsets(build, rollout))];
}

function checkRolloutSubsets(build: Build, rollout: ReturnType<typeof build.of<'Rollout'>>[number]): Finding[] {
  const istio = rollout.spec.strategy?.canary?.trafficRouting?.istio;
  if (istio?.destinationRule === undefined || istio.virtualService === undefined) return [];
  const { name, stableSubsetName, canarySubsetName } = istio.destinationRule;
  const rule: DestinationRule | undefined = build.of('DestinationRule').find(({ metadata }) => metadata.name === name);
  const route = build.of('VirtualService').find(({ metadata }) => metadata.name === istio.virtualService?.name);
  if (rule === undefined) return [found(rollout, `there is no DestinationRule ${name}`)];
  if (route === undefined) return [found(rollout, `there is no VirtualService ${istio.virtualService.name}`)];
  const pods = podLabels(build);
  const findings: Finding[] = [];
  for (const subset of [stableSubsetName, canarySubsetName]) {
    const labels = rule.spec.subsets?.find((each) => each.name === subset)?.labels;
    // Argo adds the hash of the pod template, which both have from one.
    if (labels === undefined || !pods.some((pod) => selects({ matchLabels: labels }, pod))) {
      findings.push(found(rollout, `the subset ${subset} is not there, or selects no pod of the template`));
    }
  }
  for (const wanted of istio.virtualService.routes ?? []) {
    const named = route.spec.http?.find(({ name: each }) => each === wanted)?.route ?? [];
    const used = named.map(({ destination }) => destination.subset);
    if (!used.includes(stableSubsetName) || !used.includes(canarySubsetName)) {
      findings.push(found(rollout, `route ${wanted} of ${route.metadata.name} has not both subsets`));
    }
  }
  return findings;
}
