/**
 * Load reports beside the answers of inferences (gRFC A51), for callers who ask for them and where the settings say so.
 *
 * A caller asks with the key that Triton and vLLM know, `endpoint-load-metrics-format`. gRPC itself has no way to ask: its
 * servers report on every call or on none, in `endpoint-load-metrics-bin`. An answer has only one form, because Envoy drops a
 * report that comes in two.
 */

import { encodeLoadReport, type LoadReport } from '../../wire/load-report.ts';
import type { Call, Trailers } from './call.ts';

/** Whether answers come with a report: never, to those who ask, or always. */
export type ReportPolicy = 'off' | 'as-requested' | 'always';

/** Where reports come from: the same object as long as nothing new is known, none while there is nothing to report. */
export interface LoadSource {
  readonly report: LoadReport | undefined;
}

type Format = 'bin' | 'text' | 'json';

const ASKED_BY = 'endpoint-load-metrics-format';

export class LoadReports {
  readonly policy: ReportPolicy;
  readonly #source: LoadSource;
  /** The report that `#trailers` encode. */
  #report: LoadReport | undefined;
  readonly #trailers = new Map<Format, Trailers>();

  constructor(policy: ReportPolicy, source: LoadSource) {
    this.policy = policy;
    this.#source = source;
  }

  /** Trailers with the load report, for the answer or the refusal of an inference. */
  trailersFor(call: Call): Trailers | undefined {
    if (this.policy === 'off') return undefined;
    const asked = call.get(ASKED_BY);
    const format = asked === undefined ? (this.policy === 'always' ? 'bin' : undefined) : formatOf(asked);
    return format && this.#trailersIn(format);
  }

  /** An encoded `OrcaLoadReport`; without fields while there is nothing to report. */
  get message(): Uint8Array {
    return (this.#trailersIn('bin')?.['endpoint-load-metrics-bin'] as Uint8Array | undefined) ?? new Uint8Array(0);
  }

  /** Encoded once for every report, not for every call. */
  #trailersIn(format: Format): Trailers | undefined {
    const { report } = this.#source;
    if (report === undefined) return undefined;
    if (report !== this.#report) {
      this.#report = report;
      this.#trailers.clear();
    }
    let trailers = this.#trailers.get(format);
    if (trailers === undefined) {
      trailers = trailersOf(report, format);
      this.#trailers.set(format, trailers);
    }
    return trailers;
  }
}

/** Upper and lower case are one; a form that we do not have gets no report, as with Triton. */
function formatOf(asked: string | Uint8Array): Format | undefined {
  const format = typeof asked === 'string' ? asked.toLowerCase() : '';
  return format === 'bin' || format === 'text' || format === 'json' ? format : undefined;
}

function trailersOf(report: LoadReport, format: Format): Trailers {
  if (format === 'bin') return { 'endpoint-load-metrics-bin': encodeLoadReport(report) };
  const fields = {
    application_utilization: report.applicationUtilization,
    rps_fractional: report.rpsFractional,
    eps: report.eps,
  };
  if (format === 'json') return { 'endpoint-load-metrics': `JSON ${JSON.stringify(fields)}` };
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  return { 'endpoint-load-metrics': `TEXT ${pairs.join(', ')}` };
}
