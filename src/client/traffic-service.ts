/** The messages of `tensorgate.v1.Traffic`, served only by tensorgate, as proto-loader reads them from `proto/`. */

import { type Methods, methodsOf } from './service-methods.ts';

/** How the answers of one version, a shadow, compare with those that clients got of another, since the server started. */
export interface ShadowReport {
  readonly model: string;
  /** The version whose answers clients got. */
  readonly primary: string;
  /** The version that got copies of their requests. */
  readonly shadow: string;
  /** Comparisons in which every element was equal. */
  readonly equal: number;
  readonly different: number;
  /** Comparisons in which the shadow lacked an output, or gave it another datatype or shape. */
  readonly incomparable: number;
  /** Largest difference of two floating-point elements, which may be infinite. */
  readonly maxAbsoluteDifference: number;
  /** Largest difference as a share of the larger of its two elements. */
  readonly maxRelativeDifference: number;
  /** Rows by whether their largest element has the same place in both answers. */
  readonly rowsAgreeing: number;
  readonly rowsDisagreeing: number;
  /** Time from the queue to the outputs, in milliseconds. */
  readonly primaryMeanMs: number;
  readonly shadowMeanMs: number;
  /** Copies that the shadow did not answer, by the reason. */
  readonly failures: Readonly<Record<string, number>>;
  /** Copies that were not sent, by the cause. */
  readonly shed: Readonly<Record<string, number>>;
}

interface TrafficService {
  ShadowReport: { request: { readonly model: string }; response: { readonly reports: readonly ShadowReport[] } };
}

export function shadowReportMethod(): Methods<TrafficService>['ShadowReport'] {
  return methodsOf<TrafficService>('tensorgate.proto', 'tensorgate.v1.Traffic').ShadowReport;
}
