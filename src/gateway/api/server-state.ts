/** The state of a server at this moment, for its metrics and for the lines of its start. */

import type { Transport } from '../accept/call.ts';
import type { Admission } from '../admit/admission.ts';
import type { ModelTable } from '../models/model-table.ts';
import { type SampleInput, sampleRequest } from '../models/sample-request.ts';
import type { Servable } from '../models/servable.ts';
import type { ModelState } from '../ops/diagnostics.ts';
import type { GatewayState, TransportGauges } from '../ops/gateway-state.ts';

export type { SampleInput };

export interface ModelSummary {
  readonly name: string;
  /** Empty for a model without any usable version. */
  readonly version: string;
  readonly state: ModelState;
  /** It answers requests that name no version. */
  readonly default: boolean;
  /** Such as `2 instances on cpu, batching on (axis 0, max 64 rows, delay 0 us)`, or why it does not serve. */
  readonly detail: string;
  /** A made-up request that it answers, where one is known. */
  readonly sample?: readonly SampleInput[] | undefined;
}

export function stateOf(
  models: ModelTable,
  admission: Admission,
  transports: readonly Transport[],
  memory: Pick<ReadonlyMap<Servable, number>, 'get'>,
): Omit<GatewayState, 'maxInFlightBytes' | 'known'> {
  return {
    inFlightRequests: admission.requests,
    inFlightBytes: admission.bytes,
    transport: gaugesOf(transports),
    models: models.all().map((model) => {
      const { ref, state, isDown, queuedRequests, queuedRows, cacheBytes, predictions, paddingShare, breaker } = model;
      const memoryBytes = memory.get(model) ?? 0;
      return {
        ref,
        state,
        runner: runnerOf(model),
        shadow: shadowOf(model, models),
        isDown,
        queuedRequests,
        queuedRows,
        cacheBytes,
        predictions,
        paddingShare,
        memoryBytes,
        breaker,
      };
    }),
  };
}

/** An ensemble has the runners of its steps. */
function runnerOf({ ref: { name, version }, config, platform }: Servable): string | undefined {
  return platform === 'ensemble' ? undefined : (config.tensorgate.runner ?? `${name}:${version}`);
}

function shadowOf({ ref: { name, version } }: Servable, models: ModelTable): string | undefined {
  const shadow = models.trafficOf(name)?.plan.shadow?.version;
  return shadow === version ? undefined : shadow;
}

/** The work of callers that is not done, for the log of a drain. */
export function pendingWork({ requests }: Pick<Admission, 'requests'>, transports: readonly Transport[]): string {
  const count = (number: number, thing: string): string => `${number} ${thing}${number === 1 ? '' : 's'}`;
  const unanswered = `${count(requests, 'request')} without an answer`;
  const calls = gaugesOf(transports)?.streams;
  return calls === undefined ? unanswered : `${unanswered} and ${count(calls, 'open call')} over gRPC`;
}

/** The sum over all ports that report their gauges. */
function gaugesOf(transports: readonly Transport[]): TransportGauges | undefined {
  return transports
    .flatMap(({ gauges }) => gauges ?? [])
    .reduce<TransportGauges | undefined>(
      (sum, gauges) => ({
        connections: gauges.connections + (sum?.connections ?? 0),
        streams: gauges.streams + (sum?.streams ?? 0),
        incomingBytes: gauges.incomingBytes + (sum?.incomingBytes ?? 0),
        unreadBytes: gauges.unreadBytes + (sum?.unreadBytes ?? 0),
        acceptors: gauges.acceptors ?? sum?.acceptors,
      }),
      undefined,
    );
}

export function summarize(models: ModelTable): ModelSummary[] {
  const served = models.all().map((model): ModelSummary => {
    const { ref, state, detail } = model;
    const isDefault = state === 'READY' && models.defaultOf(ref.name)?.ref === ref;
    return {
      ...ref,
      state,
      default: isDefault,
      detail,
      // Made up when it is asked for: a line of progress needs no request.
      get sample() {
        return sampleRequest(model);
      },
    };
  });
  const broken = [...models.broken].map(
    ([name, detail]): ModelSummary => ({ name, version: '', state: 'UNAVAILABLE', default: false, detail }),
  );
  return [...served, ...broken].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
