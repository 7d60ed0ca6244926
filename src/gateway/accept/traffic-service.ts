/** `tensorgate.v1.Traffic`: how the answers of shadow versions compare. */

import type { Routes } from './call.ts';
import { type Codec, loadCodecs } from './definition.ts';
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

interface ReportRequest {
  /** Empty: all. */
  readonly model: string;
}

/** What is behind the service; what is thrown becomes the status. */
export interface TrafficApi {
  shadowReports(model: string): readonly ShadowReportMessage[];
}

export function trafficRoutes(api: TrafficApi): Routes {
  const codecs = loadCodecs('tensorgate.proto', 'tensorgate.v1.Traffic');
  const report = codecs.get('ShadowReport') as unknown as Codec<
    ReportRequest,
    { readonly reports: readonly ShadowReportMessage[] }
  >;
  return new Map([[report.path, unaryMethod(report, ({ model }) => ({ reports: api.shadowReports(model) }))]]);
}
