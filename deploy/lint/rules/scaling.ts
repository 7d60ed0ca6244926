/** How many pods there are: HorizontalPodAutoscaler, ScaledObject, PodDisruptionBudget, and what promotes a canary. */

import { type Build, selects } from '../build.ts';
import type { KubeObject } from '../kinds.ts';
import { type Finding, found, type Rule } from '../rule.ts';

interface Scaler {
  readonly object: KubeObject;
  readonly kind: string;
  readonly name: string;
}

function scalers(build: Build): Scaler[] {
  return [...build.of('HorizontalPodAutoscaler'), ...build.of('ScaledObject')].map((object) => {
    const { kind = 'Deployment', name } = object.spec.scaleTargetRef;
    return { object, kind, name };
  });
}

export const SCALING_RULES: readonly Rule[] = [
  {
    id: 'one-scaler',
    prevents: 'two scalers of one Deployment undo what the other did',
    check: (build) => {
      const all = scalers(build);
      return all
        .filter(({ kind, name }, index) => all.findIndex((other) => other.kind === kind && other.name === name) < index)
        .map(({ object, kind, name }) =>
          found(object, `${kind} ${name} has another scaler already: one of components/hpa and components/keda`),
        );
    },
  },
  {
    id: 'scaler-owns-replicas',
    prevents: 'each apply sets the number of pods back to what the manifest says',
    check: (build) =>
      scalers(build).flatMap(({ object, kind, name }) =>
        build.deployments
          .filter(
            ({ metadata, spec }) => kind === 'Deployment' && metadata.name === name && spec.replicas !== undefined,
          )
          .map((deployment) =>
            found(deployment, `replicas belongs to ${object.kind}/${object.metadata.name}: take it out`),
          ),
      ),
  },
  {
    id: 'scaler-target',
    prevents: 'a scaler scales what has no pods: the template of a Rollout, or nothing',
    check: (build) =>
      scalers(build)
        .filter(({ name }) => !/-waypoint$/.test(name))
        .flatMap(({ object, kind, name }) => {
          if (build.of('Rollout').some(({ spec }) => kind === 'Deployment' && spec.workloadRef?.name === name)) {
            return [found(object, `Deployment ${name} is the template of a Rollout: it has to scale that`)];
          }
          return build.objects.some((other) => other.kind === kind && other.metadata.name === name)
            ? []
            : [found(object, `there is no ${kind} ${name}`)];
        }),
  },
  {
    id: 'flagger-scaler',
    prevents: "Flagger's primary is not scaled, and the canary is while it has no traffic",
    check: (build) =>
      build.of('Canary').flatMap((canary) =>
        scalers(build)
          .filter(({ name }) => name === canary.spec.targetRef.name)
          .filter(
            ({ object }) =>
              canary.spec.autoscalerRef?.kind !== object.kind ||
              canary.spec.autoscalerRef.name !== object.metadata.name,
          )
          .map(({ object }) => found(canary, `spec.autoscalerRef has to name ${object.kind}/${object.metadata.name}`)),
      ),
  },
  {
    id: 'container-cpu',
    prevents: "the CPU of the pod has the proxy's in it: an idle model beside a busy proxy is scaled up",
    check: (build) => [
      ...build
        .of('HorizontalPodAutoscaler')
        .flatMap((hpa) =>
          (hpa.spec.metrics ?? [])
            .filter(({ type }) => type === 'Resource')
            .map(() => found(hpa, 'use ContainerResource, of the container tensorgate')),
        ),
      ...build
        .of('ScaledObject')
        .flatMap((scaled) =>
          (scaled.spec.triggers ?? [])
            .filter(({ type, metadata }) => type === 'cpu' && metadata?.['containerName'] === undefined)
            .map(() => found(scaled, 'the trigger cpu has to name a containerName')),
        ),
    ],
  },
  {
    id: 'budget-lets-go',
    prevents:
      'a disruption budget that can never be met keeps every node from being drained; none lets all pods go at once',
    check: checkBudgets,
  },
];

function checkBudgets(build: Build): Finding[] {
  const budgets = build.of('PodDisruptionBudget');
  const impossible = budgets.flatMap((budget) => {
    const { minAvailable, maxUnavailable, selector } = budget.spec;
    const pods = build.deployments
      .filter(({ spec }) => selects(selector, spec.template.metadata?.labels ?? {}))
      .reduce((sum, { spec }) => sum + (spec.replicas ?? Number.POSITIVE_INFINITY), 0);
    if (maxUnavailable === 0 || maxUnavailable === '0%') return [found(budget, 'maxUnavailable 0 lets no pod go')];
    if (minAvailable === '100%' || (typeof minAvailable === 'number' && minAvailable >= pods)) {
      return [found(budget, `minAvailable ${minAvailable} of ${pods} pods lets none go`)];
    }
    return [];
  });
  const unguarded = build.workloads
    .filter(({ labels }) => !budgets.some(({ spec }) => selects(spec.selector, labels)))
    .map(({ object }) => found(object, 'no PodDisruptionBudget selects its pods'));
  return [...impossible, ...unguarded];
}
