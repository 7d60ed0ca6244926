/** Who may call what: AuthorizationPolicy, PeerAuthentication, RequestAuthentication. */

import { type Build, NAME, selects } from '../build.ts';
import type { AuthorizationPolicy } from '../kinds.ts';
import { ADMIN_PATHS, CLASSES, INFER_PATHS, RPCS, type RpcClass } from '../rpcs.ts';
import { type Finding, found, missing, type Rule } from '../rule.ts';

type Operation = NonNullable<
  NonNullable<NonNullable<AuthorizationPolicy['spec']['rules']>[number]['to']>[number]['operation']
>;

function operationsOf({ spec }: AuthorizationPolicy): readonly Operation[] {
  return (spec.rules ?? []).flatMap(({ to }) => (to ?? []).flatMap(({ operation }) => operation ?? []));
}

function pathsOf(policy: AuthorizationPolicy): readonly string[] {
  return operationsOf(policy).flatMap(({ paths }) => paths ?? []);
}

/** Paths that the policy of a class allows. */
export function pathsOfClass(build: Build, name: RpcClass): readonly string[] {
  return build
    .of('AuthorizationPolicy')
    .filter(({ metadata }) => metadata.name === `${NAME}-${name}`)
    .flatMap(pathsOf);
}

function hasPolicies(build: Build): boolean {
  return !build.dataPlanes.has('none') || build.of('AuthorizationPolicy').length > 0;
}

/** What looks into HTTP, which ztunnel cannot. */
function hasHttpFields({ spec }: AuthorizationPolicy): boolean {
  const requests = (spec.rules ?? []).flatMap(({ from }) => (from ?? []).flatMap(({ source }) => source ?? []));
  return (
    operationsOf({ spec } as AuthorizationPolicy).some(
      ({ paths, methods, hosts }) => paths !== undefined || methods !== undefined || hosts !== undefined,
    ) ||
    requests.some(
      ({ requestPrincipals, notRequestPrincipals }) =>
        requestPrincipals !== undefined || notRequestPrincipals !== undefined,
    )
  );
}

export const AUTHORIZATION_RULES: readonly Rule[] = [
  {
    id: 'rpc-classes',
    prevents: 'a new RPC is open to nobody, or to more than were meant, because nobody put it into a class',
    check: (build) => {
      if (!hasPolicies(build)) return [];
      const classes = new Map(CLASSES.map((name) => [name, pathsOfClass(build, name)]));
      return RPCS.flatMap(({ path }) => {
        const holders = CLASSES.filter((name) => classes.get(name)?.includes(path));
        if (holders.length === 1) return [];
        const text = holders.length === 0 ? 'is in no class' : `is in the classes ${holders.join(' and ')}`;
        return [
          missing(`${path} ${text}: each RPC is in one of ${CLASSES.map((name) => `${NAME}-${name}`).join(', ')}`),
        ];
      });
    },
  },
  {
    id: 'class-of-rpc',
    prevents: 'an RPC that changes the server can be called by whoever may infer',
    check: (build) => {
      if (!hasPolicies(build)) return [];
      const control = pathsOfClass(build, 'control');
      const infer = pathsOfClass(build, 'infer');
      return [
        ...ADMIN_PATHS.filter((path) => !control.includes(path)).map((path) =>
          missing(`${path} is not in class control`),
        ),
        ...infer
          .filter((path) => !INFER_PATHS.includes(path))
          .map((path) => missing(`${path} is in class infer, which is for the answers of models`)),
      ];
    },
  },
  {
    id: 'policy-paths',
    prevents: 'a policy about an RPC that does not exist, misspelt or renamed, protects nothing',
    check: (build) =>
      build.of('AuthorizationPolicy').flatMap((policy) =>
        pathsOf(policy)
          .filter((path) => path !== '/metrics' && !RPCS.some((rpc) => rpc.path === path))
          .map((path) => found(policy, `the gateway has no RPC ${path}`)),
      ),
  },
  {
    id: 'control-denied',
    prevents: 'a broad ALLOW that someone adds later opens the RPCs that change the server',
    check: (build) => {
      if (!hasPolicies(build)) return [];
      const denials = build
        .of('AuthorizationPolicy')
        .filter(({ spec }) =>
          (spec.rules ?? []).some(({ from }) => from?.some(({ source }) => source?.notPrincipals !== undefined)),
        )
        .filter(({ spec }) => spec.action === 'DENY');
      const denied = new Set(denials.flatMap(pathsOf));
      return pathsOfClass(build, 'control')
        .filter((path) => !denied.has(path))
        .map((path) => missing(`${path} is in class control, and no DENY with notPrincipals names it`));
    },
  },
  {
    id: 'deny-ports',
    prevents: 'a denial by paths alone denies all TCP, to which paths are nothing',
    check: (build) =>
      build
        .of('AuthorizationPolicy')
        .filter(({ spec }) => spec.action === 'DENY')
        .filter(
          (policy) => operationsOf(policy).length === 0 || operationsOf(policy).some(({ ports }) => !ports?.length),
        )
        .map((policy) => found(policy, 'a DENY has to name the ports that it is about')),
  },
  {
    id: 'principal-form',
    prevents: 'a principal with spiffe:// matches nobody: Istio compares without the scheme',
    check: (build) =>
      build.of('AuthorizationPolicy').flatMap((policy) =>
        (policy.spec.rules ?? [])
          .flatMap(({ from }) => (from ?? []).flatMap(({ source }) => source ?? []))
          .flatMap(({ principals, notPrincipals }) => [...(principals ?? []), ...(notPrincipals ?? [])])
          .filter((principal) => !/^[^/:*]+\/ns\/[^/*]+\/sa\/[^/*]+$/.test(principal))
          .map((principal) => found(policy, `'${principal}' is not of the form TRUST-DOMAIN/ns/NAMESPACE/sa/NAME`)),
      ),
  },
  {
    id: 'policies-scoped',
    prevents: 'a policy without a target holds for every pod of the namespace, the gateway of the ingress too',
    check: (build) =>
      build
        .of('AuthorizationPolicy')
        .filter(({ spec }) => spec.selector === undefined && spec.targetRefs === undefined)
        .map((policy) =>
          found(
            policy,
            'it says for whom it is in neither selector nor targetRefs: istio-sidecar or istio-ambient is missing',
          ),
        ),
  },
  {
    id: 'targets-exist',
    prevents: 'a policy or route for what is not there is taken, and does nothing',
    check: (build) =>
      [...build.of('AuthorizationPolicy'), ...build.of('RequestAuthentication'), ...build.of('HTTPRoute')].flatMap(
        (object) => {
          const spec: {
            targetRefs?: readonly { kind: string; name: string }[];
            parentRefs?: readonly { kind: string; name: string }[];
          } = object.spec;
          return [...(spec.targetRefs ?? []), ...(spec.parentRefs ?? [])]
            .filter(
              ({ kind, name }) => !build.objects.some((other) => other.kind === kind && other.metadata.name === name),
            )
            .map(({ kind, name }) => found(object, `there is no ${kind} ${name}`));
        },
      ),
  },
  {
    id: 'strict-mtls',
    prevents: 'whoever reaches a pod, or one of its ports, speaks to it without an identity',
    check: (build) => {
      if (!hasPolicies(build)) return [];
      const whole = build.of('PeerAuthentication').filter(({ spec }) => spec?.selector === undefined);
      if (!whole.some(({ spec }) => spec?.mtls?.mode === 'STRICT')) {
        return [missing('there is no PeerAuthentication of the namespace with mtls.mode STRICT')];
      }
      return build
        .of('PeerAuthentication')
        .filter(({ spec }) => spec?.portLevelMtls !== undefined || spec?.mtls?.mode !== 'STRICT')
        .map((object) => found(object, 'it makes an exception from STRICT'));
    },
  },
  {
    id: 'token-demanded',
    prevents: 'a RequestAuthentication refuses bad tokens alone: a caller without any passes',
    check: (build) =>
      build
        .of('RequestAuthentication')
        .filter(
          ({ spec }) =>
            !build
              .of('AuthorizationPolicy')
              .some(
                (policy) =>
                  sameTarget(policy.spec, spec) &&
                  (policy.spec.rules ?? []).some(({ from }) =>
                    from?.some(
                      ({ source }) =>
                        source?.notRequestPrincipals?.includes('*') || source?.requestPrincipals !== undefined,
                    ),
                  ),
              ),
        )
        .map((object) => found(object, 'no AuthorizationPolicy of the same target demands a token')),
  },
  {
    id: 'ambient-layers',
    prevents:
      'a selector puts a policy into ztunnel, which denies what it cannot judge; and past a missing waypoint nobody asks which RPC it is',
    check: checkAmbient,
  },
  {
    id: 'policy-selectors',
    prevents: 'a Deployment, or the primary that Flagger makes, is without the policies that were written for it',
    check: (build) => {
      const selectors = [
        ...build.of('AuthorizationPolicy').map((object) => ({ object, selector: object.spec.selector })),
        ...build.of('NetworkPolicy').map((object) => ({ object, selector: object.spec.podSelector })),
        ...build.of('PodMonitor').map((object) => ({ object, selector: object.spec.selector })),
        ...build.of('Sidecar').map((object) => ({
          object,
          selector: object.spec.workloadSelector?.labels && { matchLabels: object.spec.workloadSelector.labels },
        })),
      ];
      // Flagger gives its primary another value of this one.
      const primary = build.of('Canary').length > 0 ? [{ app: `${NAME}-primary` }] : [];
      return selectors.flatMap(({ object, selector }) =>
        selector === undefined
          ? []
          : build.workloads.flatMap((workload) =>
              [{}, ...primary]
                .filter((changed) => !selects(selector, { ...workload.labels, ...changed }))
                .map((changed) =>
                  found(
                    object,
                    `it does not select the pods of ${'app' in changed ? changed.app : workload.object.metadata.name}`,
                  ),
                ),
            ),
      );
    },
  },
];

function sameTarget(
  a: AuthorizationPolicy['spec'],
  b: Pick<AuthorizationPolicy['spec'], 'selector' | 'targetRefs'>,
): boolean {
  const key = (spec: typeof b) => JSON.stringify([spec.selector ?? null, spec.targetRefs ?? null]);
  return key(a) === key(b);
}

function checkAmbient(build: Build): Finding[] {
  if (!build.dataPlanes.has('ambient')) return [];
  const policies = build.of('AuthorizationPolicy');
  const layered = policies
    .filter((policy) => policy.spec.targetRefs === undefined && hasHttpFields(policy))
    .map((policy) => found(policy, 'it looks into HTTP, and has no targetRefs: ztunnel would have to judge it'));
  const waypoints = build
    .of('Gateway')
    .filter(({ metadata }) => metadata.labels?.['istio.io/waypoint-for'] !== undefined);
  if (waypoints.length === 0) return [...layered, missing('there is no waypoint')];
  const fenced = policies.some(
    ({ spec }) =>
      spec.selector !== undefined &&
      (spec.action ?? 'ALLOW') === 'ALLOW' &&
      (spec.rules ?? []).some(({ from }) =>
        from?.some(({ source }) =>
          source?.principals?.some((principal) =>
            waypoints.some(({ metadata }) => principal.endsWith(`/sa/${metadata.name}`)),
          ),
        ),
      ),
  );
  return fenced ? layered : [...layered, missing('no policy by selector admits the waypoint alone to the pods')];
}
