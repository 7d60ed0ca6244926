/** Explains how one version is served, and why, from what the server knows of it. */

import type { WireLimits } from '../../wire/limits.ts';
import type {
  ExplainedBatching,
  ExplainedCost,
  ExplainedExecution,
  ExplainedLimits,
  ExplainedProof,
  ExplainedTensor,
  ExplainedTraffic,
  ModelExplanation,
} from '../../wire/model-explanation.ts';
import { elementCount } from '../../wire/tensor.ts';
import type { ModelTable } from '../models/model-table.ts';
import type { Servable, ServingEvidence } from '../models/servable.ts';
import { SETTINGS } from '../ops/setting-description.ts';
import { DEFAULT_MAX_QUEUE_SIZE } from '../repository/config/model-config.ts';
import { stepFilesOf, stepOf } from '../repository/config/step-schema.ts';
import type { ModelSignature, OutputSpec } from '../repository/signature/model-signature.ts';
import { type ModelTensor, shapeOfRow } from '../repository/signature/row-axis.ts';
import { decidingSettings, type ServerSettings } from './deciding-settings.ts';

/** Facts of the server that a version runs in. */
export interface ExplainedServer extends ServerSettings {
  readonly models: ModelTable;
  readonly limits: { readonly current: WireLimits };
}

export function explainModel(model: Servable, server: ExplainedServer): ModelExplanation {
  const { ref, state, detail, platform, modelPaths, config } = model;
  const known = {
    model: ref.name,
    version: ref.version,
    state,
    reason: detail,
    platform,
    file: hasFile(model) ? (modelPaths[0] ?? null) : null,
    notes: model.evidence?.session.notes ?? [],
    steps: (config.ensemble_scheduling?.step ?? []).map(({ model_name, model_version }) => ({
      model: model_name,
      version: model_version === -1 ? '' : String(model_version),
    })),
    traffic: explainTraffic(ref.name, server.models),
    unknown: [],
  };
  if (state !== 'READY') return { ...known, ...NOTHING };
  const { signature } = model.ready;
  const { evidence, usualObjectiveMs } = model;
  return {
    ...known,
    inputs: signature.inputs.map((tensor) => explainTensor(tensor, signature, evidence)),
    outputs: signature.outputs.map((tensor) => ({
      ...explainTensor(tensor, signature, evidence),
      labels: labelsOf(tensor),
    })),
    fixed_inputs: signature.fixedInputs ?? [],
    batching: platform === 'ensemble' ? null : explainBatching(model, signature),
    execution: explainExecution(model),
    costs: (model.learnedCosts ?? []).map(
      ({ size, rows, ms, fastestMs }): ExplainedCost => ({
        row_elements: size.elements,
        length: size.length,
        rows,
        ms: rounded(ms),
        fastest_ms: rounded(fastestMs),
      }),
    ),
    limits: explainLimits(model, signature, server),
    objective:
      usualObjectiveMs === undefined
        ? null
        : { ms: rounded(usualObjectiveMs), is_derived: model.plan.objectiveMs === undefined },
    settings: decidingSettings(model, server),
  };
}

/** Some steps only have a folder. */
function hasFile({ config }: Servable): boolean {
  const step = stepOf(config);
  return step === undefined || stepFilesOf(step).length > 0;
}

/** Known only of a version that is READY. */
const NOTHING = {
  inputs: [],
  outputs: [],
  fixed_inputs: [],
  batching: null,
  execution: null,
  costs: [],
  limits: null,
  objective: null,
  settings: [],
} as const;

function explainTensor(
  { name, datatype, shape, rowAxis = 0 }: ModelTensor,
  { batching }: ModelSignature,
  evidence: ServingEvidence | undefined,
): ExplainedTensor {
  const { inputs = [], outputs = [] } = evidence?.session ?? {};
  const axes = [...inputs, ...outputs].find((tensor) => tensor.name === name)?.axes;
  // A configuration may show clients another shape: then the names do not fit.
  const named =
    axes?.length === shape.length ? axes.map((axis, at) => (shape[at] === -1 ? axis : (shape[at] ?? 0))) : [];
  const hasNames = named.some((axis) => typeof axis === 'string' && axis !== '');
  return {
    name,
    datatype,
    shape,
    axes: hasNames ? named.map((axis) => (axis === '' ? -1 : axis)) : null,
    batch_axis: batching.kind === 'on' ? rowAxis : null,
    labels: null,
  };
}

function labelsOf({ labels, labelFilename }: OutputSpec): ExplainedTensor['labels'] {
  return labelFilename === undefined ? null : { file: labelFilename, count: labels.length };
}

function explainBatching({ config, evidence }: Servable, { batching }: ModelSignature): ExplainedBatching {
  const { max_queue_delay_microseconds, preferred_batch_size } = config.dynamic_batching;
  const trial = evidence?.trial;
  const padding = batching.kind === 'on' ? batching.padding : undefined;
  const gain = trial?.gain;
  return {
    enabled: batching.kind === 'on',
    max_rows: batching.kind === 'on' ? batching.maxRows : 1,
    reason: batching.kind === 'on' ? null : batching.reason,
    max_queue_delay_us: max_queue_delay_microseconds,
    preferred_rows: preferred_batch_size,
    row_check: trial === undefined ? null : explainRowCheck(trial.rows),
    axis_doubt: trial?.rows.kind === 'proven' ? (trial.rows.doubt ?? null) : null,
    padding:
      padding === undefined
        ? null
        : {
            enabled: padding.kind === 'on',
            reason: padding.kind === 'on' ? null : padding.reason,
            proof: padding.kind === 'on' && trial?.padding !== undefined ? proofOf(trial.padding) : null,
          },
    golden_rows: trial?.goldenRows ?? 0,
    gain:
      gain === undefined
        ? null
        : { rows: gain.rows, batch_ms: rounded(gain.batchMs), one_by_one_ms: rounded(gain.oneByOneMs) },
  };
}

function explainRowCheck(rows: ServingEvidence['trial']['rows']): ExplainedBatching['row_check'] {
  switch (rows.kind) {
    case 'proven':
      return { result: 'independent', reason: null, proof: proofOf(rows.tally) };
    case 'refuted':
      return { result: 'dependent', reason: rows.reason, proof: null };
    case 'not_run':
      return { result: 'not_run', reason: rows.reason, proof: null };
  }
}

function proofOf({ rows, largestDifference }: { rows: number; largestDifference: number }): ExplainedProof {
  return { rows_compared: rows, largest_difference: Number(largestDifference.toPrecision(2)) };
}

function explainExecution({ placements, evidence, plan }: Servable): ExplainedExecution | null {
  const [first] = placements;
  if (first === undefined) return null;
  const preferred = plan.sessions[0]?.providers ?? [];
  const known = SETTINGS.find(({ key }) => key === 'executionProviders')?.choices ?? [];
  return {
    provider: first.provider,
    instances: placements.map(({ provider, deviceId }) => (provider === 'cpu' ? provider : `${provider}:${deviceId}`)),
    preferred,
    refused: evidence?.session.refusals ?? [],
    not_preferred: known.filter((name) => !preferred.some((provider) => provider === name)),
  };
}

function explainLimits(
  { config, plan }: Servable,
  { inputs, batching }: ModelSignature,
  { settings, limits }: ExplainedServer,
): ExplainedLimits {
  const { current } = limits;
  const { max_queue_size: size = DEFAULT_MAX_QUEUE_SIZE } = config.dynamic_batching.default_queue_policy;
  // `undefined` for an input with an open axis.
  const ofRow = inputs.map(({ shape, rowAxis }) =>
    elementCount(batching.kind === 'on' ? shapeOfRow(shape, rowAxis) : shape),
  );
  return {
    message_bytes: settings.maxMessageBytes,
    json_bytes: settings.maxJsonBytes,
    output_bytes: plan.maxOutputBytes,
    rows: batching.kind === 'on' ? (batching.requestRows ?? batching.maxRows) : 1,
    row_elements: ofRow.includes(undefined) ? null : ofRow.reduce<number>((sum, count) => sum + (count ?? 0), 0),
    inputs: current.maxInputs,
    outputs: current.maxOutputs,
    axes: current.maxRank,
    name_bytes: current.maxNameBytes,
    id_bytes: current.maxIdBytes,
    parameters: current.maxParameters,
    unset_deadline_ms: settings.defaultDeadlineMs,
    longest_deadline_ms: settings.maxDeadlineMs,
    longest_run_ms: plan.maxRunMs,
    queue_requests: size === 0 ? null : size,
    queue_bytes: config.tensorgate.max_queue_bytes,
  };
}

function explainTraffic(name: string, models: ModelTable): ExplainedTraffic {
  const versions = models.versionsOf(name);
  const traffic = models.trafficOf(name);
  const chosen = models.defaultOf(name);
  return {
    default_version: chosen?.state === 'READY' ? chosen.ref.version : null,
    versions: versions.map(({ ref, state }) => ({ version: ref.version, state })),
    choice: describeChoice(traffic),
    labels: Object.fromEntries(traffic?.plan.labels ?? []),
  };
}

function describeChoice(traffic: ReturnType<ModelTable['trafficOf']>): string {
  if (traffic === undefined) return 'no version is served';
  const { split, stickyBy, shadow } = traffic.plan;
  const total = [...split.values()].reduce((sum, share) => sum + share, 0);
  const shares = [...split].map(([version, share]) => `${rounded((100 * share) / total)} % to version ${version}`);
  const parts = [split.size === 0 ? 'the highest READY version' : `a share of the requests each: ${shares.join(', ')}`];
  if (stickyBy !== undefined) parts.push(`requests with the same ${stickyBy} get the same version`);
  if (shadow !== undefined)
    parts.push(`version ${shadow.version} gets copies of ${rounded(100 * shadow.share)} % of the requests`);
  if (traffic.plan.split !== traffic.configured.split) parts.push('a rollout decides it');
  return parts.join('; ');
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
