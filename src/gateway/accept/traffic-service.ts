/** `tensorgate.v1.Traffic`: how the answers of shadow versions compare. */

import type { Routes } from './call.ts';
import { loadCodecs } from './definition.ts';
import { unaryMethod } from './unary-method.ts';

/** A `ShadowReport` as in `proto/tensorgate.proto`. */
export interface ShadowReportMessage {
  readonly model: string;
  readonly primary: string;
  readonly shadow: string;
  readonly equal: number;
  readonly different: number;
  readonly incomparable: number;
  readonly max_absolute_difference: number;
  readonly max_relative_difference: number;
  readonly rows_agreeing: number;
  readonly rows_disagreeing: number;
  readonly primary_mean_ms: number;
  readonly shadow_mean_ms: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly shed: Readonly<Record<string, number>>;
}

interface TrafficRpcs {
  readonly ShadowReport: {
    /** An empty name stands for all models. */
    readonly request: { readonly model: string };
    readonly response: { readonly reports: readonly ShadowReportMessage[] };
  };
}

/** The implementation of the service; a thrown error becomes the status. */
export interface TrafficApi {
  shadowReports(model: string): readonly ShadowReportMessage[];
}

export function trafficRoutes(api: TrafficApi): Routes {
  const { ShadowReport } = loadCodecs<TrafficRpcs>('tensorgate.v1.Traffic');
  return new Map([
    [ShadowReport.path, unaryMethod(ShadowReport, ({ model }) => ({ reports: api.shadowReports(model) }))],
  ]);
}
