/** One model as the page shows it. */

import type { ModelSnapshot, VersionSnapshot } from '../accept/page/snapshot.ts';
import type { LoadFailures } from '../models/load-failures.ts';
import type { ModelTable } from '../models/model-table.ts';
import { sampleRequest } from '../models/sample-request.ts';
import type { Servable } from '../models/servable.ts';
import { compareVersions } from '../repository/version-number.ts';
import { type ExplainedServer, explainModel } from './model-explanation.ts';

export interface ModelFacts extends Pick<ModelSnapshot, 'rollout' | 'shadows'> {
  readonly failures: LoadFailures | undefined;
  readonly live: (servable: Servable) => VersionSnapshot['live'];
  readonly figures: (servable: Servable) => VersionSnapshot['figures'];
}

/** Labels of one output that are sent: no person reads more. */
const MAX_LABELS = 2_000;

export function modelSnapshot(
  name: string,
  server: ExplainedServer,
  { failures, rollout, shadows, live, figures }: ModelFacts,
): ModelSnapshot {
  const { models } = server;
  const versions = models.versionsOf(name);
  const chosen = models.defaultOf(name) ?? versions.at(-1);
  const described = chosen === undefined ? undefined : explainModel(chosen, server);
  const isReady = chosen?.state === 'READY';
  return {
    name,
    problem: models.broken.get(name) ?? (versions.length === 0 && failures?.problem ? failures.problem : null),
    platform: chosen?.platform ?? '',
    inputs: described?.inputs ?? [],
    outputs: described?.outputs ?? [],
    batched: isReady && chosen.ready.signature.batching.kind === 'on',
    labels: isReady ? labelsOf(chosen) : {},
    steps: described?.steps ?? [],
    sample: (isReady ? sampleRequest(chosen) : undefined) ?? null,
    default_version: isReady ? chosen.ref.version : null,
    ...trafficOf(models, name),
    shadows,
    rollout,
    versions: [
      ...versions.map((servable) => {
        const { batching, execution } = explainModel(servable, server);
        return { version: servable.ref.version, batching, execution, live: live(servable), figures: figures(servable) };
      }),
      ...[...(failures?.versions ?? [])].map(failedVersion),
    ].sort((one, other) => compareVersions(one.version, other.version)),
  };
}

/** A version that failed to load while the server runs: the table has no trace of it. */
function failedVersion([version, reason]: readonly [string, string]): VersionSnapshot {
  const idle = { waiting_requests: 0, waiting_rows: 0, memory_bytes: 0, breaker: 'closed', down: false };
  return { version, batching: null, execution: null, live: { state: 'UNAVAILABLE', reason, ...idle }, figures: null };
}

function labelsOf(model: Servable): ModelSnapshot['labels'] {
  const labelled = model.ready.signature.outputs.filter(
    ({ labels }) => labels.length > 0 && labels.length <= MAX_LABELS,
  );
  return Object.fromEntries(labelled.map(({ name, labels }) => [name, labels]));
}

function trafficOf(models: ModelTable, name: string): Pick<ModelSnapshot, 'split' | 'shadow'> {
  const plan = models.trafficOf(name)?.plan;
  const shares = [...(plan?.split ?? [])];
  const total = shares.reduce((sum, [, share]) => sum + share, 0);
  return {
    split: Object.fromEntries(shares.map(([version, share]) => [version, Number(((100 * share) / total).toFixed(2))])),
    shadow: plan?.shadow === undefined || plan.shadow.share === 0 ? null : { ...plan.shadow },
  };
}
