/**
 * The trial of a version before it serves. Only runs show whether its rows may share a batch, whether padding changes answers,
 * whether it still gives the answers that are known, and how long its batches take.
 */

import path from 'node:path';
import { axisOf, type InferTensors } from '../admit/infer-tensors.ts';
import { outputAxes } from '../batch/batch.ts';
import type { InstanceGroup } from '../dispatch/instance-group.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import { JAVASCRIPT } from '../repository/config/code-model.ts';
import { readGolden } from '../repository/golden.ts';
import { type Batching, lengthsOf, type ModelSignature } from '../repository/signature/model-signature.ts';
import type { AxisDoubt } from '../repository/signature/row-axis.ts';
import type { ModelPlan } from './planned-version.ts';
import { findCountDependence, findUnequalCounts } from './trial/axis-doubt.ts';
import { type BatchGain, describeLackOfGain, findBatchGain } from './trial/batch-gain.ts';
import { checkGolden } from './trial/golden-check.ts';
import { provePadding } from './trial/padding-independence.ts';
import { patiently } from './trial/patient-run.ts';
import { findRowDependence, type RunRows } from './trial/row-independence.ts';
import { PROBE_RANGES, type ProbeShape, WARM_UP_RANGES } from './trial/synthetic-input.ts';
import { Tally } from './trial/tally.ts';
import type { RowFinding, TrialFindings } from './trial/trial-findings.ts';
import {
  type Found,
  findProbeShape,
  type Measured,
  measureBatches,
  warmInstances,
  warmUpRows,
} from './trial/warm-up.ts';

/** A step that may restrict how a model is batched. @throws Error where the model must not serve */
type BatchingStep = (signature: ModelSignature, found: Found) => Promise<Batching>;

/** Why the names of its axes do not show that a model batches. */
function doubtOf(batching: Batching): AxisDoubt | undefined {
  return batching.kind === 'on' ? batching.doubt : undefined;
}

/** It may call other models, or act on the world. */
const NO_MADE_UP_ROWS = 'the code of a user is not run with made-up rows: max_batch_size decides';
/** A run would read its files into memory. */
const NO_DECODER_RUN = 'a tokenizer that decodes is not run before its first request';

export class ModelTrial {
  readonly #plan: ModelPlan;
  readonly #group: InstanceGroup;
  /** In this order: each step starts from the batching that the one before has left. */
  readonly #steps: readonly BatchingStep[] = [
    (signature, found) => this.#verifyRows(signature, found),
    (signature, found) => this.#verifyPadding(signature, found),
    (signature) => this.#checkGolden(signature),
  ];
  #rows: RowFinding = { kind: 'not_run', reason: 'the trial has not ended' };
  #padding: Tally | undefined;
  #goldenRows = 0;
  #gain: BatchGain | undefined;

  constructor(plan: ModelPlan, group: InstanceGroup) {
    this.#plan = plan;
    this.#group = group;
  }

  /** Findings of the trial so far. */
  get findings(): TrialFindings {
    return { rows: this.#rows, padding: this.#padding, goldenRows: this.#goldenRows, gain: this.#gain };
  }

  /** Looks for made-up rows that the model takes. @throws Error where its runner does not survive them */
  async findShape(signature: ModelSignature): Promise<Found> {
    if (this.#plan.config.platform === JAVASCRIPT) return { kind: 'none', reason: NO_MADE_UP_ROWS };
    if (this.#plan.config.tensorgate.tokenizer?.decode === true) return { kind: 'none', reason: NO_DECODER_RUN };
    const ranges = signature.batching.kind === 'on' ? PROBE_RANGES : WARM_UP_RANGES;
    const found = await findProbeShape(this.#probeRows(signature), signature.inputs, ranges);
    if (found.kind !== 'crashed') return found;
    const reason = `the runner did not survive a first run: ${found.reason}`;
    // Values for rows may be sizes to a model that has none: it serves one request at a time.
    if (doubtOf(signature.batching) !== undefined) return { kind: 'none', reason };
    throw new Error(reason);
  }

  /** The batching that the trial allows. @throws Error where known answers are not given at all */
  async judgeBatching(signature: ModelSignature, found: Found): Promise<Batching> {
    let { batching } = signature;
    for (const step of this.#steps) batching = await step({ ...signature, batching }, found);
    return batching;
  }

  /** Batching as the model and its configuration say, unless running shows that rows are not independent. */
  async #verifyRows(signature: ModelSignature, found: Found): Promise<Batching> {
    const { batching } = signature;
    const unneeded = this.#whyNoRowCheck(batching);
    if (batching.kind === 'off' || unneeded !== undefined) {
      this.#rows = { kind: 'not_run', reason: unneeded ?? '' };
      return batching;
    }
    if (found.kind !== 'shape') {
      const reason = `row independence could not be verified, because no made-up input runs: ${found.reason} (tensorgate.row_independence: assume turns batching on unverified)`;
      return this.#refuteRows(batching, reason);
    }
    const axes = outputAxes(signature.outputs);
    const run = this.#probeRows(signature);
    const doubt = doubtOf(batching);
    const tally = new Tally();
    const dependence =
      (await findRowDependence(run, signature.inputs, found.shape, axes, tally)) ??
      (doubt === undefined ? undefined : await this.#resolveDoubt(doubt, signature, found.shape, tally));
    if (dependence === undefined) {
      this.#rows = { kind: 'proven', tally, doubt: doubt?.text };
      return batching;
    }
    const names = doubt === undefined ? '' : ` (${doubt.text})`;
    return this.#refuteRows(batching, `rows are not independent: ${dependence}${names}`);
  }

  /** A batch of one row needs no proof, but then a larger request is not split into such rows. */
  #refuteRows(batching: Batching, reason: string): Batching {
    this.#rows = { kind: 'refuted', reason };
    const isSingle = batching.kind === 'on' && batching.maxRows === 1;
    return isSingle ? { ...batching, requestRows: undefined } : { kind: 'off', reason };
  }

  #whyNoRowCheck(batching: Batching): string | undefined {
    if (batching.kind === 'off') return batching.reason;
    if (this.#plan.config.platform === JAVASCRIPT) return NO_MADE_UP_ROWS;
    if (this.#plan.config.tensorgate.row_independence === 'assume')
      return 'the configuration says tensorgate.row_independence: assume';
    return batching.maxRows === 1 && batching.requestRows === undefined ? 'a batch has one row' : undefined;
  }

  /** @returns why axes of different names are not one axis, or `undefined` where no run speaks against it. */
  async #resolveDoubt(
    { inputs: others }: AxisDoubt,
    signature: ModelSignature,
    shape: ProbeShape,
    tally: Tally,
  ): Promise<string | undefined> {
    const { inputs, outputs } = signature;
    const asTheyAre = this.#probeRows({ ...signature, batching: { kind: 'off', reason: '' } });
    return (
      (await findUnequalCounts(asTheyAre, inputs, others, shape)) ??
      (await findCountDependence(this.#probeRows(signature), inputs, shape, outputAxes(outputs), tally))
    );
  }

  /** Requests of unlike length are padded only where running shows that this changes no answer. */
  async #verifyPadding(signature: ModelSignature, found: Found): Promise<Batching> {
    const { batching, inputs, outputs } = signature;
    if (batching.kind === 'off' || batching.padding?.kind !== 'on') return batching;
    if (found.kind !== 'shape') return { ...batching, padding: { kind: 'off', reason: 'no made-up input runs' } };
    const tally = new Tally();
    this.#padding = tally;
    const probe = { shape: found.shape, axes: outputAxes(outputs), tally };
    return {
      ...batching,
      padding: await provePadding(this.#probeRows(signature), inputs, batching.padding.lengths, probe),
    };
  }

  /** Batching as it was, unless known answers show that rows mix. Throws where they are not given at all. */
  async #checkGolden(signature: ModelSignature): Promise<Batching> {
    const [session] = this.#plan.sessions;
    const { directory, ref } = this.#plan;
    const golden = session && (await readGolden(path.join(directory, ref.version), session.modelPath));
    if (golden === undefined) return signature.batching;
    const reason = await checkGolden(golden, signature, this.runRows(signature));
    this.#goldenRows = golden.rows;
    return reason === undefined ? signature.batching : this.#refuteRows(signature.batching, reason);
  }

  /** Runs made-up batches on every instance, and then measures how long they take. */
  async warmUp(
    signature: ModelSignature,
    { shape, rowBytes }: Extract<Found, { kind: 'shape' }>,
    maxRows: number,
  ): Promise<Measured[]> {
    const { inputs } = signature;
    // Made-up batches keep no one waiting for room, and need not run.
    const run = this.#runOnce(signature, 0);
    const largest = warmUpRows(rowBytes, maxRows);
    const instances = this.#group.size;
    const warm = (): Promise<void> => warmInstances(run, inputs, shape, { rows: largest, instances });
    if (instances > 1) await warm();
    const measured = await measureBatches(run, inputs, shape, largest);
    // The measurement warms a single instance, where it comes to the largest batch in its time.
    if (instances === 1 && !measured.some(({ rows }) => rows === largest)) await warm();
    this.#gain = findBatchGain(measured);
    this.#reportGain();
    return measured;
  }

  #reportGain(): void {
    const { ref, config } = this.#plan;
    const lack = config.sequence_batching === undefined ? describeLackOfGain(this.#gain) : undefined;
    if (lack === undefined) return;
    const text = `model '${ref.name}' version ${ref.version}: ${lack}`;
    diagnostics.notice.publish({ level: 'info', text });
  }

  /** Runs rows that are known to be good ones, past queue and breaker. */
  runRows(signature: ModelSignature): RunRows {
    return this.#patiently(this.#runOnce(signature, this.#plan.loadLimitMs));
  }

  /** Runs made-up rows likewise. They may be odd ones for which the model runs forever, and which no load waits for so long. */
  #probeRows(signature: ModelSignature): RunRows {
    const { loadLimitMs, maxRunMs } = this.#plan;
    return this.#patiently(this.#runOnce(signature, loadLimitMs, Math.min(loadLimitMs, maxRunMs)));
  }

  /** Repeats runs that failed for want of room, or by another model in the runner: they say nothing of this model. */
  #patiently(run: RunRows): RunRows {
    return patiently(run, this.#plan.loadLimitMs, () => this.#group.idle > 0);
  }

  /** @param roomMs how long it waits for room behind other batches. */
  #runOnce(
    { inputs, outputs, batching }: ModelSignature,
    roomMs: number,
    maxMs: number = this.#plan.maxRunMs,
  ): RunRows {
    const axis = axisOf(batching);
    const lengths = lengthsOf(batching);
    return (rows: readonly InferTensors[]) => {
      const until = performance.now() + roomMs;
      return this.#group.run(
        { requests: rows.map((tensors) => ({ tensors })), rows: rows.length },
        { inputs, outputs, axis, lengths },
        { maxMs },
        () => until,
      );
    };
  }
}
