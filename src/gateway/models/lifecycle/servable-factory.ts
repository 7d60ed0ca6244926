/** Where a plan becomes what answers requests. */

import type { Admission } from '../../admit/admission.ts';
import type { DeviceSet } from '../../dispatch/device-set.ts';
import type { RunnerSet } from '../../dispatch/runner-set.ts';
import type { CallGateway } from '../code/call-gateway.ts';
import { Ensemble } from '../ensemble/ensemble.ts';
import { Model } from '../model.ts';
import type { ModelTable } from '../model-table.ts';
import type { ModelPlan } from '../planned-version.ts';
import type { Servable } from '../servable.ts';
import { isOnlyShadow, trafficOf } from '../traffic.ts';

/** Where the processor is short, a version that only is a shadow gets about a tenth of what others get (sched(7)). */
const SHADOW_NICENESS = 10;

export type CreateServable = (plan: ModelPlan) => Servable;

/** @param parts what ensembles find the models of their steps in, and count their requests against; and where code models call others. */
export function servableFactory(
  runners: RunnerSet,
  devices: DeviceSet,
  parts: { readonly models: ModelTable; readonly admission: Admission; readonly calls: CallGateway },
): CreateServable {
  return (plan) => {
    if (plan.config.ensemble_scheduling !== undefined) return new Ensemble(plan, parts);
    const { tensorgate } = plan.config;
    const background = isOnlyShadow(trafficOf(tensorgate), plan.ref.version);
    const niceness = background ? SHADOW_NICENESS : 0;
    const runner = runners.runnerFor(plan.ref, { shared: tensorgate.runner, niceness });
    // A shared runner has the usual priority.
    return new Model(plan, runner, {
      devices,
      background: background && tensorgate.runner === undefined,
      calls: parts.calls,
    });
  };
}
