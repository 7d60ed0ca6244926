/** Where calls go, and what becomes of those that fail on the way: VirtualService, HTTPRoute, GRPCRoute. */

import { SettingsError } from '../../../src/gateway/ops/settings-error.ts';
import { type Build, hostOf } from '../build.ts';
import type { GatewayRoute, HttpRoute, KubeObject, Retries } from '../kinds.ts';
import { CLASSES, INFER_PATHS, MODEL_INFER, RPCS } from '../rpcs.ts';
import { durationMs, type Finding, found, missing, type Rule } from '../rule.ts';
import { pathsOfClass } from './authorization.ts';

/** One route, of whatever kind. */
interface Route {
  readonly object: KubeObject;
  readonly name: string;
  /** Whether a call of this path, without metadata of its own, is caught. */
  catches(path: string): boolean;
  readonly destinations: readonly { readonly name: string; readonly weight: number | undefined }[];
  readonly mirrored: boolean;
  /** `undefined`: it cannot be said in this kind of object. */
  readonly retries: Retries | undefined;
  /** In milliseconds; 0 and `undefined`: none. */
  readonly timeout: number | undefined;
  readonly delegated: boolean;
}

function routesOfVirtualServices(build: Build): Route[] {
  return build.of('VirtualService').flatMap((object) =>
    (object.spec.http ?? []).map((route, index) => ({
      object,
      name: route.name ?? `http[${index}]`,
      catches: (path: string) => catchesUri(route, path),
      destinations: (route.route ?? []).map(({ destination, weight }) => ({
        name: `${destination.host} ${destination.subset ?? ''}`.trim(),
        weight,
      })),
      mirrored: route.mirror !== undefined || route.mirrors !== undefined,
      retries: route.retries,
      timeout: durationMs(route.timeout),
      delegated: route.delegate !== undefined,
    })),
  );
}

function catchesUri({ match }: HttpRoute, path: string): boolean {
  return (
    match === undefined ||
    match.some(({ uri, headers }) => {
      if (headers !== undefined) return false;
      if (uri === undefined) return true;
      if (uri.regex !== undefined) return new RegExp(`^(?:${uri.regex})$`).test(path);
      return uri.exact === path || (uri.prefix !== undefined && path.startsWith(uri.prefix));
    })
  );
}

function routesOfGatewayApi(build: Build): Route[] {
  return gatewayRoutes(build).flatMap((object) =>
    (object.spec.rules ?? []).map((rule, index) => ({
      object,
      name: rule.name ?? `rules[${index}]`,
      catches: (path: string) =>
        rule.matches === undefined ||
        rule.matches.some(({ path: uri, method, headers }) => {
          if (headers !== undefined) return false;
          if (typeof method === 'object') {
            const [, service = '', name = ''] = path.split('/');
            return (method.service ?? service) === service && (method.method ?? name) === name;
          }
          if (uri?.value === undefined) return true;
          return uri.type === 'Exact' ? uri.value === path : path.startsWith(uri.value);
        }),
      destinations: (rule.backendRefs ?? []).map(({ name, weight }) => ({ name, weight })),
      mirrored: false,
      retries: undefined,
      timeout: durationMs(rule.timeouts?.request),
      delegated: false,
    })),
  );
}

export function gatewayRoutes(build: Build): readonly GatewayRoute[] {
  return [...build.of('HTTPRoute'), ...build.of('GRPCRoute')];
}

/** The routes that a call of `path` takes: the first that catches it, of each object. */
function routesFor(build: Build, path: string): Route[] {
  const taken = new Map<KubeObject, Route>();
  for (const route of [...routesOfVirtualServices(build), ...routesOfGatewayApi(build)]) {
    if (!taken.has(route.object) && route.catches(path)) taken.set(route.object, route);
  }
  return [...taken.values()].filter(({ delegated }) => !delegated);
}

/** Envoy's conditions on HTTP and on gRPC. */
const RETRY_CONDITIONS: ReadonlySet<string> = new Set([
  ...['5xx', 'gateway-error', 'reset', 'reset-before-request', 'connect-failure', 'envoy-ratelimited'],
  ...['retriable-4xx', 'refused-stream', 'retriable-status-codes', 'retriable-headers', 'http3-post-connect-failure'],
  ...['cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable'],
]);

/** Every place of a build that configures retries. */
function retriesOf(
  build: Build,
): { object: KubeObject; name: string; retries: Retries; timeout: number | undefined }[] {
  const routed = routesOfVirtualServices(build).flatMap(({ object, name, retries, timeout }) =>
    retries === undefined ? [] : [{ object, name, retries, timeout }],
  );
  const made = build.of('Canary').flatMap((object) => {
    const { retries, timeout } = object.spec.service;
    return retries === undefined ? [] : [{ object, name: 'service', retries, timeout: durationMs(timeout) }];
  });
  return [...routed, ...made];
}

export const ROUTE_RULES: readonly Rule[] = [
  {
    id: 'retries-explicit',
    prevents: 'Istio retries every RPC twice by default, loads of models included, with no bound on how many at once',
    check: (build) => [
      ...routesOfVirtualServices(build)
        .filter(({ retries, delegated }) => retries?.attempts === undefined && !delegated)
        .map(({ object, name }) => found(object, `route ${name} does not say retries.attempts`)),
      ...build
        .of('Canary')
        .filter(({ spec }) => spec.service.retries?.attempts === undefined)
        .map((object) => found(object, 'service does not say retries.attempts')),
    ],
  },
  {
    id: 'retry-conditions',
    prevents: 'a blank or a misspelt name in retryOn is no condition, and without the webhook nothing reports it',
    check: (build) =>
      retriesOf(build).flatMap(({ object, name, retries }) =>
        (retries.retryOn ?? '')
          .split(',')
          .filter((condition) => retries.retryOn !== undefined && !RETRY_CONDITIONS.has(condition))
          .map((condition) => found(object, `route ${name}: retryOn has no condition '${condition}'`)),
      ),
  },
  {
    id: 'overload-not-retried',
    prevents:
      'a refusal for want of capacity, or a deadline that passed, is repeated, and adds load where there is too much',
    check: (build) =>
      retriesOf(build).flatMap(({ object, name, retries }) =>
        ['resource-exhausted', 'deadline-exceeded', 'cancelled', '5xx', 'gateway-error', 'internal']
          .filter((condition) => retries.retryOn?.split(',').includes(condition))
          .map((condition) => found(object, `route ${name} retries ${condition}`)),
      ),
  },
  {
    id: 'tries-fit-timeout',
    prevents: 'a route ends before its second try can, so that the retry costs load and saves nobody',
    check: (build) =>
      retriesOf(build).flatMap(({ object, name, retries, timeout }) => {
        const tries = (retries.attempts ?? 0) + 1;
        const each = durationMs(retries.perTryTimeout);
        if (each === undefined || timeout === undefined || tries * each <= timeout) return [];
        return [found(object, `route ${name}: ${tries} tries of ${each} ms do not fit into ${timeout} ms`)];
      }),
  },
  {
    id: 'control-whole',
    prevents: 'a model is loaded or a setting changed in whichever version the dice chose, twice, or in the shadow too',
    check: (build) =>
      CLASSES.filter((name) => name !== 'infer')
        .flatMap((name) => pathsOfClass(build, name))
        .flatMap((path) =>
          routesFor(build, path).flatMap(({ object, name, destinations, mirrored, retries }) => {
            const faults = [
              ...(destinations.length > 1 ? ['is spread over several destinations'] : []),
              ...(mirrored ? ['is mirrored'] : []),
              ...((retries?.attempts ?? 0) > 0 ? ['is retried'] : []),
            ];
            return faults.map((fault) => found(object, `route ${name}: ${path} ${fault}`));
          }),
        ),
  },
  {
    id: 'streams-whole',
    prevents: 'a stream is cut while it is used, or begun anew when part of it was answered',
    check: (build) =>
      RPCS.filter(({ streaming }) => streaming).flatMap(({ path }) =>
        routesFor(build, path).flatMap(({ object, name, retries, timeout }) => [
          ...((timeout ?? 0) > 0 ? [found(object, `route ${name} ends the stream ${path} after ${timeout} ms`)] : []),
          ...((retries?.attempts ?? 0) > 0 ? [found(object, `route ${name} retries the stream ${path}`)] : []),
        ]),
      ),
  },
  {
    id: 'infer-timeout',
    prevents:
      'the proxy ends a call before the gateway does, and answers UNAVAILABLE, which clients retry, instead of DEADLINE_EXCEEDED',
    check: (build) => {
      const settings = build.workloads.map((workload) => build.settingsOf(workload));
      const longest = Math.max(0, ...settings.map((each) => (each instanceof SettingsError ? 0 : each.maxDeadlineMs)));
      const timeouts = [
        ...routesFor(build, MODEL_INFER),
        ...build.of('Canary').map((object) => ({
          object,
          name: 'service',
          timeout: durationMs(object.spec.service.timeout),
        })),
      ];
      return timeouts
        .filter(({ timeout = 0 }) => timeout > 0 && timeout <= longest)
        .map(({ object, name, timeout }) =>
          found(object, `route ${name}: timeout ${timeout} ms is not above the gateway's maxDeadlineMs, ${longest}`),
        );
    },
  },
  {
    id: 'header-case',
    prevents: 'a header of a match is never found: HTTP/2 has names in lower case',
    check: (build) => {
      const matched = build
        .of('VirtualService')
        .flatMap((object) =>
          (object.spec.http ?? []).flatMap(({ match }) =>
            (match ?? []).flatMap(({ headers }) => Object.keys(headers ?? {}).map((name) => ({ object, name }))),
          ),
        );
      return matched
        .filter(({ name }) => name !== name.toLowerCase())
        .map(({ object, name }) => found(object, `header '${name}' has to be in lower case`));
    },
  },
  {
    id: 'one-router',
    prevents: 'two objects route the same Service, and which of them counts is not defined',
    check: (build) => {
      const routers = new Map<string, KubeObject[]>();
      const claim = (host: string, object: KubeObject) => routers.set(host, [...(routers.get(host) ?? []), object]);
      for (const object of build.of('VirtualService')) for (const host of object.spec.hosts ?? []) claim(host, object);
      for (const object of gatewayRoutes(build)) {
        const services = (object.spec.parentRefs ?? []).filter(({ kind }) => kind === 'Service');
        for (const { name } of services) claim(hostOf(name, object.metadata.namespace), object);
      }
      for (const object of build.of('Canary')) {
        const { name = object.spec.targetRef.name, delegation } = object.spec.service;
        if (delegation !== true) claim(hostOf(name, object.metadata.namespace), object);
      }
      return [...routers].flatMap(([host, objects]) =>
        objects.slice(1).map((object) => found(object, `${host} is routed by ${describe(objects[0])} already`)),
      );
    },
  },
  {
    id: 'weights',
    prevents:
      'a component that came too early in the list lost its patch, and the canary gets nothing, or a share that nobody chose',
    check: checkWeights,
  },
  {
    id: 'routes-end-somewhere',
    prevents: 'an RPC that no route catches ends with 404, that is UNIMPLEMENTED, at the client',
    check: (build) =>
      build
        .of('VirtualService')
        .filter(({ spec }) => spec.hosts !== undefined)
        .flatMap((object) => {
          const own = routesOfVirtualServices(build).filter((route) => route.object === object);
          return RPCS.filter(({ path }) => !own.some((route) => route.catches(path))).map(({ path }) =>
            found(object, `no route catches ${path}`),
          );
        }),
  },
];

function describe(object: KubeObject | undefined): string {
  return `${object?.kind}/${object?.metadata.name}`;
}

function checkWeights(build: Build): Finding[] {
  const findings: Finding[] = [];
  for (const route of [...routesOfVirtualServices(build), ...routesOfGatewayApi(build)]) {
    const { object, name, destinations } = route;
    if (destinations.length < 2) continue;
    const sum = destinations.reduce((total, { weight }) => total + (weight ?? 0), 0);
    if (destinations.some(({ weight }) => weight === undefined)) {
      findings.push(found(object, `route ${name} has several destinations, of which one has no weight`));
    } else if (sum !== 100) findings.push(found(object, `route ${name}: weights come to ${sum}, not to 100`));
  }
  const tracks = build.deployments.map(({ spec }) => spec.template.metadata?.labels?.['track']);
  const hasRoutes = routesFor(build, MODEL_INFER).length > 0;
  if (hasRoutes && tracks.includes('canary')) {
    for (const path of INFER_PATHS) {
      for (const { object, name, destinations } of routesFor(build, path)) {
        if (destinations.length < 2) findings.push(found(object, `route ${name} of ${path} gives the canary nothing`));
      }
    }
  }
  if (tracks.includes('shadow') && !routesFor(build, MODEL_INFER).some(({ mirrored }) => mirrored)) {
    findings.push(missing('there is a Deployment of track shadow, and no route mirrors ModelInfer'));
  }
  return findings;
}
