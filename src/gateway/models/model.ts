/** One model version: its configuration, its queue, and the instances that run it, from loading to its end. */

import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import type { ExecutionProvider, SessionSpec } from '../../worker/protocol.ts';
import { axisOf, type InferTensors, type RowSize, rowSizeOf } from '../admit/infer-tensors.ts';
import { type Batch, lastExpiry, outputAxes } from '../batch/batch.ts';
import { ResponseCache } from '../batch/cache/response-cache.ts';
import type { Occupancy } from '../batch/occupancy.ts';
import type { RunDemand } from '../batch/run-outcome.ts';
import { Scheduler } from '../batch/scheduler.ts';
import type { TenantOf } from '../batch/tenants.ts';
import { Breaker } from '../dispatch/breaker.ts';
import { DeviceSet } from '../dispatch/device-set.ts';
import { InstanceGroup } from '../dispatch/instance-group.ts';
import { describeOutage, type Outage } from '../dispatch/outage.ts';
import type { Runner } from '../dispatch/runner.ts';
import { LoadError } from '../dispatch/runner-process.ts';
import { InferError, withJitter } from '../errors.ts';
import { type BreakerState, diagnostics, type ModelRef, type ModelState, type Prediction } from '../ops/diagnostics.ts';
import type { ModelConfig } from '../repository/config/model-config.ts';
import { fingerprintVersion } from '../repository/fingerprint.ts';
import { readGolden } from '../repository/golden.ts';
import { explainLoadFailure } from '../repository/model-file.ts';
import { describeBatching } from '../repository/signature/batching-description.ts';
import {
  type Batching,
  lengthsOf,
  type ModelSignature,
  resolveSignature,
} from '../repository/signature/model-signature.ts';
import { resolveSequences, type SequenceSignature } from '../repository/signature/sequence-signature.ts';
import { readSignatureSources } from '../repository/signature/signature-sources.ts';
import { resolveWarmUps } from '../repository/warm-up-sample.ts';
import { checkCallable } from './message-needs.ts';
import { ModelStatistics } from './model-statistics.ts';
import { queuePolicies } from './queue-plan.ts';
import { batchSequences, describeSequences, sequencePolicy } from './sequence-plan.ts';
import type { Placement, Servable, Served } from './servable.ts';
import { checkGolden } from './trial/golden-check.ts';
import { provePadding } from './trial/padding-independence.ts';
import { patiently } from './trial/patient-run.ts';
import { findRowDependence, type ProbeShape, type RunRows } from './trial/row-independence.ts';
import { PROBE_RANGES, seededRandom, syntheticRow, WARM_UP_RANGES } from './trial/synthetic-input.ts';
import {
  type Found,
  findProbeShape,
  type Measured,
  measureBatches,
  warmInstances,
  warmUpRows,
} from './trial/warm-up.ts';
import { runWarmUps } from './trial/warm-up-run.ts';

/** Everything that is known of a version before it is loaded. */
export interface ModelPlan {
  readonly ref: ModelRef;
  readonly config: ModelConfig;
  /** Where the configuration and its label files lie. */
  readonly directory: string;
  /** Fingerprint of the version's files at planning: the load compares them. Not compared if absent. */
  readonly fingerprint?: string | undefined;
  /** One for each instance. */
  readonly sessions: readonly SessionSpec[];
  /** Why it cannot be loaded, where that is known already. */
  readonly problem: string | undefined;
  readonly mailboxDirectory: string;
  readonly loadLimitMs: number;
  /** A run ends after so many milliseconds, whatever it does. */
  readonly maxRunMs: number;
  /** Time within which a call without a deadline should be answered; by default it follows from the model's speed. */
  readonly objectiveMs?: number | undefined;
  /** Absent where all calls are one tenant's. */
  readonly tenantOf?: TenantOf | undefined;
  /** Longest message that can bring it a request, or its answer; any, where absent. */
  readonly maxMessageBytes?: number | undefined;
  /** Bytes that the outputs of one request may have. */
  readonly maxOutputBytes: number;
}

/** What a version shares with others. */
export interface Neighbourhood {
  readonly devices: DeviceSet;
  /** Its runner has a lower priority than other versions' runners. */
  readonly background: boolean;
}

/** What a loaded version has besides what all have. */
interface Loaded extends Served {
  readonly scheduler: Scheduler;
  readonly cache: ResponseCache | undefined;
  readonly circuit: Breaker;
  readonly provider: ExecutionProvider;
  readonly sequences?: SequenceSignature;
}

/** A version that has had no instance for longer is not ready. */
const MAX_ABSENCE_MS = 1_000;

export class Model implements Servable {
  readonly ref: ModelRef;
  readonly config: ModelConfig;
  readonly platform = 'onnxruntime_onnx';
  readonly plan: ModelPlan;
  readonly statistics = new ModelStatistics();
  readonly #runner: Runner;
  readonly #neighbourhood: Neighbourhood;
  readonly #group: InstanceGroup;
  #state: ModelState = 'LOADING';
  #detail = 'loading';
  #served: Loaded | undefined;
  /** Runs while it is down and still READY. */
  #absence: NodeJS.Timeout | undefined;

  /** @param neighbourhood by default it shares no device. */
  constructor(plan: ModelPlan, runner: Runner, neighbourhood?: Neighbourhood) {
    this.ref = plan.ref;
    this.config = plan.config;
    this.plan = plan;
    this.#runner = runner;
    this.#neighbourhood = neighbourhood ?? { devices: new DeviceSet(), background: false };
    this.#group = new InstanceGroup({
      model: plan.ref,
      specs: plan.sessions,
      mailboxDirectory: plan.mailboxDirectory,
      loadLimitMs: plan.loadLimitMs,
      maxOutputBytes: plan.maxOutputBytes,
      onIdle: () => this.#served?.scheduler.wake(),
      onOutage: (outage) => this.#suspend(outage),
    });
  }

  get state(): ModelState {
    return this.#state;
  }

  /** Why it is not ready, or how it is served. */
  get detail(): string {
    const { outage } = this.#group;
    if (outage === undefined || !this.isDown || this.#state !== 'UNAVAILABLE') return this.#detail;
    return describeOutage(outage, performance.now());
  }

  /** It served, has no instance that lives, and comes back by itself. */
  get isDown(): boolean {
    return this.#served !== undefined && this.#group.outage !== undefined;
  }

  get pid(): number | undefined {
    return this.#runner.pid;
  }

  get modelPaths(): readonly string[] {
    return this.plan.sessions.map(({ modelPath }) => modelPath);
  }

  get placements(): readonly Placement[] {
    const provider = this.#served?.provider;
    return provider === undefined ? [] : this.plan.sessions.map(({ deviceId }) => ({ provider, deviceId }));
  }

  get breaker(): BreakerState {
    return this.#served?.circuit.state ?? 'closed';
  }

  get queuedRequests(): number {
    return this.#served?.batcher.queuedRequests ?? 0;
  }

  get queuedRows(): number {
    return this.#served?.batcher.queuedRows ?? 0;
  }

  get occupancy(): Occupancy | undefined {
    return this.#served?.scheduler.occupancy;
  }

  get cacheBytes(): number | undefined {
    return this.#served?.cache?.bytes;
  }

  get predictions(): readonly Prediction[] {
    return this.#served?.scheduler.predictions ?? [];
  }

  get paddingShare(): number | undefined {
    if (this.#served === undefined || lengthsOf(this.#served.signature.batching) === undefined) return undefined;
    const { padded, computed } = this.statistics.padding;
    return computed === 0 ? 0 : padded / computed;
  }

  get ready(): Served {
    const { outage } = this.#group;
    // While a start is expected to succeed, the queue knows which requests can wait for it.
    const isWaiting = outage !== undefined && !outage.isRefused;
    if (this.#served !== undefined && (this.#state === 'READY' || isWaiting)) return this.#served;
    const text = `model '${this.ref.name}' version ${this.ref.version} is not at ready state: ${this.detail}`;
    const pushback = outage === undefined ? {} : { pushback: withJitter(outage.nextAtMs - performance.now()) };
    throw new InferError('model_not_ready', text, pushback);
  }

  async load(): Promise<void> {
    this.#become('LOADING', 'loading');
    try {
      if (this.plan.problem !== undefined) throw new Error(this.plan.problem);
      await this.#runner.admit(this.#group);
      this.#served = await this.#prepare();
      await this.#checkFiles();
      this.#become('READY', this.#describe(this.#served));
      // Its runner may have died after the last run of the warm-up.
      if (this.#group.outage !== undefined) this.#suspend(this.#group.outage);
    } catch (error) {
      this.#served = undefined;
      this.#runner.release(this.#group);
      const reason = messageOf(error);
      const [modelPath] = this.modelPaths;
      const isLoad = error instanceof LoadError && modelPath !== undefined;
      this.#become('UNAVAILABLE', isLoad ? await explainLoadFailure(modelPath, reason) : reason);
    }
  }

  abandon(error: InferError): void {
    this.#served?.batcher.abandon(error);
  }

  async drained(): Promise<void> {
    await this.#served?.batcher.drained();
  }

  close(): void {
    clearTimeout(this.#absence);
    this.#served?.circuit.close();
    this.#served?.scheduler.close();
    this.#runner.release(this.#group);
  }

  /** A file that changed meanwhile was half-written when it was read, or the next one. */
  async #checkFiles(): Promise<void> {
    const { ref, directory, fingerprint } = this.plan;
    if (fingerprint === undefined || fingerprint === (await fingerprintVersion(directory, ref.version))) return;
    throw new Error(
      `its files changed while it was loaded: load it again when ${directory}/${ref.version} is complete`,
    );
  }

  async #prepare(): Promise<Loaded> {
    const { config, directory } = this.plan;
    const queues = queuePolicies(config);
    const group = this.#group;
    const { info } = group;
    for (const { provider, reason } of info.refusals) {
      const text = `model '${this.ref.name}' version ${this.ref.version}: execution provider ${provider} is not used: ${reason}`;
      diagnostics.notice.publish({ level: 'warn', text });
    }
    const sources = await readSignatureSources(info, config, { directory, modelPath: this.modelPaths[0] });
    const said = resolveSignature(info, config, sources);
    const sequences = resolveSequences(said, config, sources.files);
    checkCallable(this.ref.name, { inputs: (sequences?.client ?? said).inputs, outputs: said.outputs }, this.plan);
    const samples = resolveWarmUps(said, sequences?.client ?? said, config, sources.files);
    const ranges = said.batching.kind === 'on' ? PROBE_RANGES : WARM_UP_RANGES;
    const found = await findProbeShape(this.#probeRows(said), said.inputs, ranges);
    if (found.kind === 'crashed') throw new Error(`the runner did not survive a first run: ${found.reason}`);
    const verified = await this.#verify(said, found);
    const padded = await this.#verifyPadding({ ...said, batching: verified }, found);
    const batching = await this.#checkGolden({ ...said, batching: padded });
    const signature = { ...said, batching };
    const client = sequences === undefined ? signature : { ...sequences.client, batching };
    const maxRows = batching.kind === 'on' ? batching.maxRows : 1;
    const axis = axisOf(batching);
    const lengths = lengthsOf(batching);
    const circuit = new Breaker(this.ref, {
      size: group.size,
      get outage() {
        return group.outage;
      },
      get loadMs() {
        return group.loadMs;
      },
      idle: () => group.idle,
      run: (batch: Batch, demand: RunDemand) =>
        group.run(batch, { ...signature, axis, lengths }, { maxMs: this.plan.maxRunMs, demand }, lastExpiry),
    });
    const { dynamic_batching: dynamic, tensorgate } = config;
    const { devices, background } = this.#neighbourhood;
    const scheduler = new Scheduler(
      {
        model: this.ref,
        policy: sequencePolicy(config, maxRows) ?? {
          maxRows,
          maxDelayMs: dynamic.max_queue_delay_microseconds / 1_000,
          preferredRows: dynamic.preferred_batch_size.filter((rows) => rows <= maxRows).sort((a, b) => a - b),
        },
        queues,
        maxQueueBytes: tensorgate.max_queue_bytes,
        axis,
        outputAxes: outputAxes(signature.outputs),
        lengths,
        maxOutputBytes: this.plan.maxOutputBytes,
        place: { ...devices.placeOf(info.provider, this.plan.sessions), background },
        objectiveMs: this.plan.objectiveMs,
        tenantOf: this.plan.tenantOf,
        record: (batch, outcome) => this.statistics.recordBatch(batch, outcome, lengths),
      },
      circuit,
    );
    if (found.kind === 'shape') {
      for (const { openAxisSize, rows, elapsedMs } of await this.#warmUp(signature, found, maxRows)) {
        scheduler.observe(sizeOf(client, { ...found.shape, openAxisSize }), rows, elapsedMs);
      }
    }
    await runWarmUps(samples, this.#runRows(said), this.#group.size);
    const cache = config.response_cache?.enable
      ? new ResponseCache({ model: this.ref.name, maxBytes: tensorgate.max_cache_bytes, queues }, scheduler)
      : undefined;
    const batcher = cache ?? scheduler;
    const served = { signature: client, axis, batcher, scheduler, cache, circuit, provider: info.provider };
    if (sequences === undefined) return served;
    const place = { model: this.ref.name, inputs: signature.inputs.length, instances: this.#group.size, maxRows };
    return { ...served, batcher: batchSequences(sequences, config, place, scheduler), sequences };
  }

  /** Batching as the model and its configuration say, unless running shows that rows are not independent. */
  async #verify(signature: ModelSignature, found: Found): Promise<Batching> {
    const { batching } = signature;
    if (batching.kind === 'off' || this.plan.config.tensorgate.row_independence === 'assume') return batching;
    if (batching.maxRows === 1) return batching;
    if (found.kind !== 'shape') {
      const reason = `row independence could not be verified, because no made-up input runs: ${found.reason} (tensorgate.row_independence: assume turns batching on unverified)`;
      return { kind: 'off', reason };
    }
    const axes = outputAxes(signature.outputs);
    const dependence = await findRowDependence(this.#probeRows(signature), signature.inputs, found.shape, axes);
    return dependence === undefined ? batching : { kind: 'off', reason: `rows are not independent: ${dependence}` };
  }

  /** Requests of unlike length are padded only where running shows that this changes no answer. */
  async #verifyPadding(signature: ModelSignature, found: Found): Promise<Batching> {
    const { batching, inputs, outputs } = signature;
    if (batching.kind === 'off' || batching.padding?.kind !== 'on') return batching;
    if (found.kind !== 'shape') return { ...batching, padding: { kind: 'off', reason: 'no made-up input runs' } };
    const probe = { shape: found.shape, axes: outputAxes(outputs) };
    return {
      ...batching,
      padding: await provePadding(this.#probeRows(signature), inputs, batching.padding.lengths, probe),
    };
  }

  /** Batching as it was, unless known answers show that rows mix. Throws where they are not given at all. */
  async #checkGolden(signature: ModelSignature): Promise<Batching> {
    const [session] = this.plan.sessions;
    const { directory, ref } = this.plan;
    const golden = session && (await readGolden(path.join(directory, ref.version), session.modelPath));
    if (golden === undefined) return signature.batching;
    const reason = await checkGolden(golden, signature, this.#runRows(signature));
    return reason === undefined ? signature.batching : { kind: 'off', reason };
  }

  /** Runs made-up batches on every instance, and then measures how long they take. */
  async #warmUp(
    signature: ModelSignature,
    { shape, rowBytes }: Extract<Found, { kind: 'shape' }>,
    maxRows: number,
  ): Promise<Measured[]> {
    const { inputs } = signature;
    // Made-up batches keep no one waiting for room, and need not run.
    const run = this.#runOnce(signature, 0);
    const largest = warmUpRows(rowBytes, maxRows);
    await warmInstances(run, inputs, shape, { rows: largest, instances: this.#group.size });
    return measureBatches(run, inputs, shape, largest);
  }

  /** Runs rows that are known to be good ones, past queue and breaker. */
  #runRows(signature: ModelSignature): RunRows {
    return this.#patiently(this.#runOnce(signature, this.plan.loadLimitMs));
  }

  /** Runs made-up rows likewise. They may be odd ones for which the model runs forever, and which no load waits for so long. */
  #probeRows(signature: ModelSignature): RunRows {
    const { loadLimitMs, maxRunMs } = this.plan;
    return this.#patiently(this.#runOnce(signature, loadLimitMs, Math.min(loadLimitMs, maxRunMs)));
  }

  /** What the model is like is not judged by a want of room, or by another model in its runner. */
  #patiently(run: RunRows): RunRows {
    return patiently(run, this.plan.loadLimitMs, () => this.#group.idle > 0);
  }

  /** @param roomMs how long it waits for room behind other batches. */
  #runOnce({ inputs, outputs, batching }: ModelSignature, roomMs: number, maxMs: number = this.plan.maxRunMs): RunRows {
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

  #describe({ signature, provider, sequences }: Loaded): string {
    const { size } = this.#group;
    const kept = sequences === undefined ? '' : `, ${describeSequences(sequences, this.plan.config)}`;
    return `${size} instance${size === 1 ? '' : 's'} on ${provider}, batching ${describeBatching(signature, this.plan.config)}${kept}`;
  }

  /** A replacement within a second goes unnoticed; after that, balancers should send requests elsewhere. */
  #suspend(outage: Outage | undefined): void {
    if (this.#served === undefined) return;
    this.#served.scheduler.wake();
    if (outage?.isRefused === true) this.#beAbsent();
    else if (outage !== undefined) this.#absence ??= setTimeout(() => this.#beAbsent(), MAX_ABSENCE_MS).unref();
    else {
      clearTimeout(this.#absence);
      this.#absence = undefined;
      if (this.#state !== 'READY') this.#become('READY', this.#describe(this.#served));
    }
  }

  #beAbsent(): void {
    const { outage } = this.#group;
    if (outage === undefined || this.#state !== 'READY') return;
    this.#become('UNAVAILABLE', describeOutage(outage, performance.now()));
  }

  #become(state: ModelState, detail: string): void {
    this.#state = state;
    this.#detail = detail;
    diagnostics.modelChanged.publish({ model: this.ref, state, detail });
  }
}

/** The size of a made-up row, as a client would send it. */
function sizeOf({ inputs, batching }: ModelSignature, shape: ProbeShape): RowSize {
  const { shapes } = syntheticRow(inputs, { ...shape, random: seededRandom(1), magnitude: 1 });
  return rowSizeOf(shapes, axisOf(batching), inputs);
}
