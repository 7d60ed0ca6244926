/** One model as the page shows it. */

import type { ModelSnapshot, VersionSnapshot } from '../accept/page/snapshot.ts';
import type { ModelTable } from '../models/model-table.ts';
import { sampleRequest } from '../models/sample-request.ts';
import type { Servable } from '../models/servable.ts';
import { type ExplainedServer, explainModel } from './model-explanation.ts';

export interface ModelFacts extends Pick<ModelSnapshot, 'rollout' | 'shadows'> {
  readonly live: (servable: Servable) => VersionSnapshot['live'];
  readonly figures: (servable: Servable) => VersionSnapshot['figures'];
}

/** Labels of one output that are sent: no person reads more. */
const MAX_LABELS = 2_000;

export function modelSnapshot(
  name: string,
  server: ExplainedServer,
  { rollout, shadows, live, figures }: ModelFacts,
): ModelSnapshot {
  const { models } = server;
  const versions = models.versionsOf(name);
  const chosen = models.defaultOf(name) ?? versions.at(-1);
  const described = chosen === undefined ? undefined : explainModel(chosen, server);
  const isReady = chosen?.state === 'READY';
  return {
    name,
    problem: models.broken.get(name) ?? null,
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
    versions: versions.map((servable) => {
      const { batching, execution } = explainModel(servable, server);
      return { version: servable.ref.version, batching, execution, live: live(servable), figures: figures(servable) };
    }),
  };
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
