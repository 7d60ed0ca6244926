/** Prepares a version that its runner has loaded: signature, trial, queue, warm-up. */

import type { ExecutionProvider, SessionInfo } from '../../worker/protocol.ts';
import { axisOf, type RowSize, rowSizeOf } from '../admit/infer-tensors.ts';
import { type Batch, lastExpiry, outputAxes } from '../batch/batch.ts';
import type { Batcher } from '../batch/batcher.ts';
import { ResponseCache } from '../batch/cache/response-cache.ts';
import type { Executor, RunDemand } from '../batch/executor.ts';
import { Scheduler } from '../batch/scheduler.ts';
import { Breaker } from '../dispatch/breaker.ts';
import type { DeviceSet } from '../dispatch/device-set.ts';
import type { InstanceGroup } from '../dispatch/instance-group.ts';
import { diagnostics, type ModelRef } from '../ops/diagnostics.ts';
import { isDecoupled, JAVASCRIPT } from '../repository/config/code-model.ts';
import { lengthsOf, type ModelSignature, resolveSignature } from '../repository/signature/model-signature.ts';
import { resolveSequences, type SequenceSignature } from '../repository/signature/sequence-signature.ts';
import { readSignatureSources } from '../repository/signature/signature-sources.ts';
import { resolveWarmUps } from '../repository/warm-up-sample.ts';
import { BatchCalls } from './code/batch-calls.ts';
import type { CallGateway } from './code/call-gateway.ts';
import { CodeBatcher } from './code/code-batcher.ts';
import { checkCallable } from './message-needs.ts';
import type { ModelStatistics } from './model-statistics.ts';
import { ModelTrial } from './model-trial.ts';
import type { ModelPlan } from './planned-version.ts';
import { queuePolicies } from './queue-plan.ts';
import { batchSequences, sequencePolicy } from './sequence-plan.ts';
import type { Served, ServingEvidence } from './servable.ts';
import { fixedRow, type ProbeShape } from './trial/synthetic-input.ts';
import { runWarmUps } from './trial/warm-up-run.ts';

/** Parts that a version shares with others. */
export interface Neighbourhood {
  readonly devices: DeviceSet;
  /** Its runner has a lower priority than other versions' runners. */
  readonly background: boolean;
  /** Where code models call others. */
  readonly calls: CallGateway;
}

/** Parts of a loaded version that only a model with instances has. */
export interface Loaded extends Served {
  readonly scheduler: Scheduler;
  readonly cache: ResponseCache | undefined;
  readonly circuit: Breaker;
  readonly provider: ExecutionProvider;
  readonly evidence: ServingEvidence;
  readonly sequences?: SequenceSignature;
}

/** @param group of instances that are loaded. @throws Error with the reason why the version must not serve */
export async function prepareModel(
  plan: ModelPlan,
  group: InstanceGroup,
  { devices, background, calls }: Neighbourhood,
  statistics: ModelStatistics,
): Promise<Loaded> {
  const { ref, config, directory } = plan;
  const trial = new ModelTrial(plan, group);
  const queues = queuePolicies(config);
  const { info } = group;
  reportSession(ref, info);
  const sources = await readSignatureSources(info, config, { directory, modelPath: plan.sessions[0]?.modelPath });
  const said = resolveSignature(info, config, sources);
  const sequences = resolveSequences(said, config, sources.files);
  checkCallable(ref.name, { inputs: (sequences?.client ?? said).inputs, outputs: said.outputs }, plan);
  const samples = resolveWarmUps(said, sequences?.client ?? said, config, sources.files);
  const found = await trial.findShape(said);
  const batching = await trial.judgeBatching(said, found);
  const signature = { ...said, batching };
  const client = sequences === undefined ? signature : { ...sequences.client, batching };
  const maxRows = batching.kind === 'on' ? batching.maxRows : 1;
  const axis = axisOf(batching);
  const lengths = lengthsOf(batching);
  const circuit = breakerOf(ref, group, (batch, demand) => {
    const bounds = { maxMs: plan.maxRunMs, demand: demandOf(plan, calls, batch, demand) };
    return group.run(batch, { ...signature, axis, lengths }, bounds, lastExpiry);
  });
  const { dynamic_batching: dynamic, tensorgate } = config;
  const scheduler = new Scheduler(
    {
      model: ref,
      policy: sequencePolicy(config, maxRows) ?? {
        maxRows,
        maxDelayMs: dynamic.max_queue_delay_microseconds / 1_000,
        preferredRows: dynamic.preferred_batch_size.filter((rows) => rows <= maxRows).sort((a, b) => a - b),
      },
      queues,
      maxQueueBytes: tensorgate.max_queue_bytes,
      axis,
      inputs: signature.inputs,
      outputAxes: outputAxes(signature.outputs),
      lengths,
      maxOutputBytes: plan.maxOutputBytes,
      place: { ...devices.placeOf(info.provider, plan.sessions), background },
      objectiveMs: plan.objectiveMs,
      tenantOf: plan.tenantOf,
      record: (batch, outcome) => statistics.recordBatch(batch, outcome, lengths),
    },
    circuit,
  );
  if (found.kind === 'shape') {
    for (const { openAxisSize, rows, elapsedMs } of await trial.warmUp(signature, found, maxRows)) {
      scheduler.observe(sizeOf(client, { ...found.shape, openAxisSize }), rows, elapsedMs);
    }
  }
  await runWarmUps(samples, trial.runRows(said), group.size);
  const cache = config.response_cache?.enable
    ? new ResponseCache({ model: ref.name, maxBytes: tensorgate.max_cache_bytes, queues }, scheduler)
    : undefined;
  const batcher = withCode(cache ?? scheduler, plan, calls);
  const probe = found.kind === 'shape' ? found.shape : undefined;
  const { provider } = info;
  const evidence = { session: info, trial: trial.findings };
  const parts = { scheduler, cache, circuit, provider, evidence };
  const served = { signature: client, axis, batcher, probe, isDecoupled: isDecoupled(config), ...parts };
  if (sequences === undefined) return served;
  const place = { model: ref.name, inputs: signature.inputs.length, instances: group.size, maxRows };
  return { ...served, batcher: batchSequences(sequences, config, place, scheduler), sequences };
}

/** Code may call other models. It may also end an abandoned run by itself: it is in the way only where it does not. */
function demandOf({ ref, config }: ModelPlan, gateway: CallGateway, batch: Batch, demand: RunDemand): RunDemand {
  if (config.platform !== JAVASCRIPT) return demand;
  const calls = new BatchCalls(batch, ref, gateway, demand.wait);
  return { ...demand, calls, isInTheWay: () => calls.isOverdue && demand.isInTheWay() };
}

function withCode(queue: Batcher, { ref, config }: ModelPlan, gateway: CallGateway): Batcher {
  if (config.platform !== JAVASCRIPT) return queue;
  gateway.forget(ref);
  return new CodeBatcher(ref, gateway, queue, { isDecoupled: isDecoupled(config) });
}

/** Logs the providers that are not used, and how the served model differs from its file. */
function reportSession({ name, version }: ModelRef, { refusals, notes = [] }: SessionInfo): void {
  const what = `model '${name}' version ${version}`;
  for (const { provider, reason } of refusals) {
    diagnostics.notice.publish({
      level: 'warn',
      text: `${what}: execution provider ${provider} is not used: ${reason}`,
    });
  }
  for (const note of notes) diagnostics.notice.publish({ level: 'info', text: `${what}: ${note}` });
}

/** A breaker before the instances of a group. */
function breakerOf(ref: ModelRef, group: InstanceGroup, run: Executor['run']): Breaker {
  return new Breaker(ref, {
    size: group.size,
    get outage() {
      return group.outage;
    },
    get loadMs() {
      return group.loadMs;
    },
    idle: () => group.idle,
    run,
  });
}

/** The size of a made-up row, as a client would send it. */
function sizeOf({ inputs, batching }: ModelSignature, shape: ProbeShape): RowSize {
  const { shapes } = fixedRow(inputs, shape);
  return rowSizeOf(shapes, axisOf(batching), inputs);
}
