/** `xds.service.orca.v3.OpenRcaService`: load reports at intervals, for balancers that do not want them beside answers. */

import { MAX_TIMER_MS } from '../../timer-limit.ts';
import { InferError } from '../errors.ts';
import type { Method, Routes, StreamingCall } from './call.ts';
import { type Codec, loadCodecs, MAX_REQUEST_BYTES } from './definition.ts';
import { eachInSlices } from './each-in-slices.ts';
import { failWith } from './failure.ts';
import type { LoadReports } from './load-reports.ts';
import { type Recurring, ReportSchedule } from './report-schedule.ts';

/** An `OrcaLoadReportRequest` as in `proto/orca.proto`. */
interface LoadReportRequest {
  readonly report_interval?: { readonly seconds: string; readonly nanos: number } | null;
}

interface OpenRcaRpcs {
  readonly StreamCoreMetrics: { readonly request: LoadReportRequest; readonly response: object };
}

/** Default of gRPC's servers (gRFC A51). */
const DEFAULT_INTERVAL_MS = 30_000;
/** Balancers do not change a weight more often. */
const MIN_INTERVAL_MS = 1_000;

export interface OpenRcaOptions {
  /** Reports come no more often, whatever is asked. In milliseconds; by default a second. */
  readonly minIntervalMs?: number;
}

export class OpenRca {
  readonly routes: Routes;
  readonly #reports: LoadReports;
  readonly #minIntervalMs: number;
  readonly #codec: Codec<LoadReportRequest, object>;
  readonly #schedule: ReportSchedule<ReportStream>;

  constructor(reports: LoadReports, { minIntervalMs = MIN_INTERVAL_MS }: OpenRcaOptions = {}) {
    this.#reports = reports;
    this.#minIntervalMs = minIntervalMs;
    this.#schedule = new ReportSchedule(minIntervalMs);
    this.#codec = loadCodecs<OpenRcaRpcs>('xds.service.orca.v3.OpenRcaService').StreamCoreMetrics;
    const method: Method = {
      kind: 'streaming',
      maxMessageBytes: MAX_REQUEST_BYTES,
      handle: (call) => this.#open(call),
    };
    this.routes = reports.policy === 'off' ? new Map() : new Map([[this.#codec.path, method]]);
  }

  /** Ends all streams: to be called when the server drains, for they would never end. */
  end(): void {
    eachInSlices([...this.#schedule.items], (stream) => {
      this.#schedule.remove(stream);
      stream.end();
    });
  }

  #open(call: StreamingCall): void {
    let stream: ReportStream | undefined;
    call.onMessage = (bytes) => {
      if (stream !== undefined) {
        this.#schedule.remove(stream);
        failWith(call, new InferError('malformed_message', 'StreamCoreMetrics takes one request'));
        return;
      }
      try {
        const intervalMs = Math.max(this.#minIntervalMs, intervalOf(this.#codec.decode(bytes)));
        stream = new ReportStream(call, this.#reports, intervalMs);
        this.#schedule.add(stream);
        stream.send();
      } catch (thrown) {
        failWith(call, InferError.from(thrown));
      }
    };
    call.onEnd = () => {
      if (stream === undefined)
        failWith(call, new InferError('malformed_message', 'StreamCoreMetrics takes one request, got none'));
    };
    call.onCancel = () => {
      if (stream !== undefined) this.#schedule.remove(stream);
    };
  }
}

/** In milliseconds. */
function intervalOf({ report_interval: interval }: LoadReportRequest): number {
  if (interval === undefined || interval === null) return DEFAULT_INTERVAL_MS;
  const ms = Number(interval.seconds) * 1_000 + interval.nanos / 1e6;
  return ms === 0 ? DEFAULT_INTERVAL_MS : Math.min(MAX_TIMER_MS, ms);
}

/** One StreamCoreMetrics call: a report at once, and one each interval. While the client does not read, none is made. */
class ReportStream implements Recurring {
  readonly intervalMs: number;
  readonly #call: StreamingCall;
  readonly #reports: LoadReports;
  #blocked = false;

  constructor(call: StreamingCall, reports: LoadReports, intervalMs: number) {
    this.intervalMs = intervalMs;
    this.#call = call;
    this.#reports = reports;
    call.onDrain = () => {
      this.#blocked = false;
    };
  }

  end(): void {
    this.#call.end();
  }

  send(): void {
    if (!this.#blocked) this.#blocked = !this.#call.write([this.#reports.message]);
  }
}
