/** The protocol's calls, answered from the model table. `accept/` decodes and encodes them. */

import type { InferenceApi, Reply } from '../accept/inference-service.ts';
import type { LoadReports } from '../accept/load-reports.ts';
import { refuseEarly } from '../admit/early-refusal.ts';
import { timingTrailers } from '../encode/timing-trailers.ts';
import { InferError } from '../errors.ts';
import { type Gateway, infer } from '../infer.ts';
import { inferInStream } from '../infer-stream.ts';
import { inferWithin } from '../infer-within.ts';
import { InferenceRecord } from '../inference-record.ts';
import type { CallGateway } from '../models/code/call-gateway.ts';
import type { Readiness } from '../models/readiness.ts';
import type { Servable } from '../models/servable.ts';
import { configOf, metadataOf, statisticsOf } from './model-description.ts';

/** Extensions that clients may rely on; perf_analyzer prints no server-side figures without `statistics`. */
const EXTENSIONS = [
  'classification',
  'sequence',
  'model_repository',
  'model_repository(unload_dependents)',
  'schedule_policy',
  'model_configuration',
  'binary_tensor_data',
  'parameters',
  'statistics',
  'trace',
  'logging',
] as const;

const NO_BYTES = new Uint8Array(0);

export interface ServerFacts {
  readonly version: string;
  readonly readiness: Readiness;
  readonly loadReports: LoadReports;
  /** Code models call others through it, on the path of all requests. */
  readonly calls: CallGateway;
}

export function inferenceApi(gateway: Gateway, server: ServerFacts): InferenceApi {
  const { models } = gateway;
  server.calls.connect((wire, call) => inferWithin(wire, call, gateway));
  return {
    live: () => true,
    ready: () => server.readiness.obstacles.length === 0,
    modelReady: (name, version) => isReady(() => models.find(name, version)),
    serverMetadata: () => ({ name: 'tensorgate', version: server.version, extensions: EXTENSIONS }),
    modelMetadata: (name, version) => {
      const model = models.find(name, version);
      const ready = models.versionsOf(name).filter(({ state }) => state === 'READY');
      const versions = version === '' ? ready : [model];
      return metadataOf(
        model,
        versions.map(({ ref }) => ref.version),
      );
    },
    modelConfig: (name, version) => configOf(models.find(name, version)),
    keepsState: (name) => keepsState(models, name),
    activate: async (name, call) => {
      if (gateway.onDemand?.isCold(name) === true) await gateway.onDemand.activate(name, call, 0);
    },
    modelStatistics: (name, version) => chooseForStatistics(gateway, name, version).map(statisticsOf),
    screenInfer: (call) => {
      const { refusal } = gateway.admission;
      return refusal && new InferenceRecord(NO_BYTES, call).failed(refusal);
    },
    infer: (wire, call, tensors) => {
      const record = new InferenceRecord(wire, call, tensors);
      const refusal = refuseEarly(record, gateway);
      if (refusal === undefined) return replyTo(record, gateway);
      record.end();
      return refusal;
    },
    loadReport: (call) => server.loadReports.trailersFor(call),
    streamInfer: (message) => inferInStream(message, gateway),
  };
}

async function replyTo(record: InferenceRecord, gateway: Gateway): Promise<Reply> {
  const { chunks, response, memory, timing, requestIsSpent = false } = await infer(record, gateway);
  return { chunks, response, memory, trailers: timingTrailers(record.call, timing), requestIsSpent };
}

/** An unknown model or version is not ready, as recorded of Triton; a version that is no number is a mistake. */
function isReady(find: () => Servable): boolean {
  try {
    return find().state === 'READY';
  } catch (error) {
    if (error instanceof InferError && error.reason !== 'invalid_request') return false;
    throw error;
  }
}

function keepsState(models: Gateway['models'], name: string): boolean {
  const versions = models.versionsOf(name);
  return (
    versions.length === 0 ||
    versions.some(
      ({ config: { sequence_batching: sequences, ensemble_scheduling: ensemble } }) =>
        sequences !== undefined || ensemble?.step.some((step) => keepsState(models, step.model_name)),
    )
  );
}

/** No name: every READY version of every model; no version: every READY version of the model. */
function chooseForStatistics({ models }: Gateway, name: string, version: string): readonly Servable[] {
  const candidates = name === '' ? models.all() : models.versionsOf(name);
  const ready = candidates.filter(({ state }) => state === 'READY');
  if (name === '') return ready;
  if (ready.length === 0) throw new InferError('model_not_found', `requested model '${name}' is not available`);
  const asked = models.trafficOf(name)?.askedBy(version, undefined) ?? version;
  const chosen = asked === '' ? ready : ready.filter(({ ref }) => ref.version === asked);
  if (chosen.length > 0) return chosen;
  throw new InferError('model_not_found', `requested model version is not available for model '${name}'`);
}
