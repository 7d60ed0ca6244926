/**
 * Events of the gateway by name. Stages publish; metrics, traces and logs subscribe, and nothing here knows them.
 * An event without a subscriber costs one check.
 */

import { channel } from 'node:diagnostics_channel';
import type { RunOutcome } from '../../worker/run-outcome.ts';
import type { InferError, Reason, StatusName } from '../errors.ts';
import type { ObservedCall } from './observed-call.ts';

/**
 * Why a batch was sent: `full`: no further row fits; `preferred`: a preferred size; `idle`: an instance was free; `delay`: the
 * queue delay passed; `deadline`: one more row would be late; `alone`: a replay or a split after a failure.
 */
export type SendReason = 'full' | 'preferred' | 'idle' | 'delay' | 'deadline' | 'alone';

/** The answer was there; an equal request was under way, whose answer it shared; or it had to run. */
export type CacheOutcome = 'hit' | 'joined' | 'miss';

/** The outcome of a run as metrics and traces name it, which distinguish fewer. */
export type OutcomeLabel = Exclude<
  RunOutcome['kind'],
  'threw' | 'outputs_too_large' | 'out_of_memory' | 'no_room' | 'rejected'
>;

/** A model version, or `undefined` for a request whose model was not found: client-chosen names never become labels. */
export interface ModelRef {
  readonly name: string;
  readonly version: string;
}

export interface CallStarted {
  readonly call: ObservedCall;
}

export interface CallEnded {
  readonly call: ObservedCall;
  readonly status: StatusName;
  readonly reason: Reason | undefined;
  /** The text of the answer, where the call failed. */
  readonly text: string | undefined;
  readonly cause: unknown;
  readonly durationMs: number;
}

/** One inference (a ModelInfer call, or one message of a ModelStreamInfer) that was answered or refused. */
export interface InferenceEnded {
  readonly call: ObservedCall;
  readonly model: ModelRef | undefined;
  readonly requestId: string;
  readonly status: StatusName;
  readonly reason: Reason | undefined;
  /** The cause of a failure. A request of a stream fails in band: only here is its cause known. */
  readonly failure?: InferError | undefined;
  readonly rows: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** From admission to the start of its batch; `undefined` where it never ran. */
  readonly queueMs: number | undefined;
  /** Rows of its batch; 0 where it never ran. */
  readonly batchRows: number;
  /** Where the time of its run went, in milliseconds; `undefined` where it never ran. */
  readonly timing?: { readonly inputMs: number; readonly computeMs: number; readonly outputMs: number } | undefined;
  /** Outcome of the look-up in the response cache; `undefined` without a cache, or if the request failed. */
  readonly cache?: CacheOutcome | undefined;
  readonly durationMs: number;
}

/** An inference that was let in, or refused because its tenant has had its share. */
export interface TenantCharged {
  /** A tenant with a weight in the settings, or the name that stands for all others. */
  readonly tenant: string;
  readonly outcome: 'admitted' | 'limited';
}

/** Time that a batch of so many rows is predicted to take. */
export interface Prediction {
  readonly rows: number;
  readonly ms: number;
}

/** One run of a model: a batch that was sent to an instance and came back. */
export interface BatchEnded {
  readonly model: ModelRef;
  readonly calls: readonly ObservedCall[];
  readonly rows: number;
  readonly reason: SendReason;
  readonly outcome: OutcomeLabel;
  /** `Date.now()` when it was sent. */
  readonly startedAtMs: number;
  /** From sending it to having its answer, without the wait for room. */
  readonly elapsedMs: number;
  /** Upper bound that was predicted for `elapsedMs`; `undefined` if there was no prediction. */
  readonly predictedMs: number | undefined;
  /** Writing the mailbox and the way to the session. */
  readonly inputMs: number;
  /** Inside `session.run`. */
  readonly computeMs: number;
  /** The way back. */
  readonly outputMs: number;
}

/** A run of a model was ended by the gateway: it made no progress, ran for too long, or stood in the way of others. */
export interface RunStopped {
  readonly model: ModelRef;
  /** Such as `no answer within 60000 ms`. */
  readonly cause: string;
  readonly ranMs: number;
  /** The requests of its batch, with the ids that their clients gave them; `''` where they gave none. */
  readonly requests: readonly { readonly call: ObservedCall; readonly id: string }[];
}

/** Requests whose batch was lost with its runner, and that run again. */
export interface RequestsRepeated {
  readonly model: ModelRef;
  readonly requests: number;
}

/** A limit of the gRPC transport or of the HTTP port refused, ended or closed something. */
export interface LimitReached {
  /** The name of its setting. */
  readonly limit: string;
}

/** A thread that accepts connections has ended by a fault. Another one takes its place. */
export interface AcceptorEnded {
  /** Its number, from 0. */
  readonly acceptor: number;
  readonly cause: string;
  /** Calls of its connections that were cancelled. */
  readonly lostCalls: number;
}

export interface RunnerEnded {
  readonly runner: string;
  readonly models: readonly ModelRef[];
  /** Such as `killed by SIGSEGV` or `made no progress for 2000 ms of a run`. */
  readonly cause: string;
  /** It was stopped for requests that waited behind a run without a caller: that says nothing of its models. */
  readonly isStopped: boolean;
}

/** A model version that had served was loaded again after its runner was lost, or was not. */
export interface RunnerStarted {
  readonly runner: string;
  readonly model: ModelRef;
  readonly outcome: 'ok' | 'failed';
  readonly cause: string | undefined;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

export interface BreakerChanged {
  readonly model: ModelRef;
  readonly state: BreakerState;
}

export type ModelState = 'LOADING' | 'READY' | 'UNLOADING' | 'UNAVAILABLE';

export interface ModelChanged {
  readonly model: ModelRef;
  readonly state: ModelState;
  /** Why it is not ready, or how it is served. */
  readonly detail: string;
  /** Someone wants it so: an unload, an eviction, a version that is gone from disk. */
  readonly isIntended?: boolean;
}

/** Why a copy of a request was not sent to the shadow. */
export type ShedCause = 'server_busy' | 'primary_busy' | 'shadow_busy' | 'no_room' | 'not_ready' | 'breaker_open';

/** Outcome of the copy of one request. */
export interface ShadowEnded {
  readonly model: string;
  /** The version whose answer the client got. */
  readonly primary: string;
  readonly shadow: string;
  readonly outcome:
    | {
        readonly kind: 'compared';
        readonly result: 'equal' | 'different' | 'incomparable';
        /** Largest differences of floating-point elements; infinite where only one of two is a finite number. */
        readonly absolute: number;
        readonly relative: number;
        readonly rowsAgreeing: number;
        readonly rowsDisagreeing: number;
        /** From the queue to the outputs. */
        readonly primaryMs: number;
        readonly shadowMs: number;
      }
    | { readonly kind: 'failed'; readonly reason: Reason }
    | { readonly kind: 'shed'; readonly cause: ShedCause };
}

/** A rollout began, went on by a step, or ended. */
export interface RolloutChanged {
  readonly model: string;
  readonly from: string;
  readonly to: string;
  readonly stage: RolloutStage;
  /** Percent of the requests routed to the new version. */
  readonly percent: number;
  /** Why it was rolled back, in a word; `undefined` where it was not. */
  readonly cause: string | undefined;
  /** One sentence for people. */
  readonly text: string;
}

export type RolloutStage = 'loading' | 'shadow' | 'canary' | 'promoted' | 'rolled_back';

/** Who changes a server by itself: its start, its look at the repository, a request for a model, room for another, a rollout. */
export type OwnCause = 'start' | 'repository' | 'demand' | 'eviction' | 'ensemble' | 'rollout';

/** A change of the server has been made, or was refused. */
export interface ChangeEnded {
  /** The call that asked for it, or the server's own cause. */
  readonly by: ObservedCall | OwnCause;
  /** Such as `model.load`. */
  readonly action: string;
  /** `''` where it is about no model. */
  readonly model: string;
  /** The details of the change, in a few words; may be empty. */
  readonly detail: string;
  readonly failure: InferError | undefined;
}

/** Something an operator should read. */
export interface Notice {
  readonly level: 'info' | 'warn' | 'error';
  readonly text: string;
  readonly cause?: unknown;
}

interface Topic<Event> {
  readonly active: boolean;
  publish(event: Event): void;
  subscribe(listener: (event: Event) => void): () => void;
}

function topic<Event>(name: string): Topic<Event> {
  const inner = channel(`tensorgate:${name}`);
  return {
    get active() {
      return inner.hasSubscribers;
    },
    publish(event) {
      if (inner.hasSubscribers) inner.publish(event);
    },
    subscribe(listener) {
      // An error of an observer would be an uncaught exception: it must not end the observed work.
      const handler = (event: unknown): void => {
        try {
          listener(event as Event);
        } catch (cause) {
          reportObserver(name, cause);
        }
      };
      inner.subscribe(handler);
      return () => inner.unsubscribe(handler);
    },
  };
}

/** Topics whose observers failed: an observer that fails once fails again, and each line more would help no one. */
const reported = new Set<string>();

function reportObserver(topic: string, cause: unknown): void {
  if (reported.has(topic)) return;
  reported.add(topic);
  const text = `an observer of ${topic} failed, and further failures of its kind are not logged`;
  diagnostics.notice.publish({ level: 'error', text, cause });
}

export const diagnostics = {
  callStarted: topic<CallStarted>('call.started'),
  callEnded: topic<CallEnded>('call.ended'),
  limitReached: topic<LimitReached>('limit.reached'),
  inferenceEnded: topic<InferenceEnded>('inference.ended'),
  tenantCharged: topic<TenantCharged>('tenant.charged'),
  batchEnded: topic<BatchEnded>('batch.ended'),
  runStopped: topic<RunStopped>('run.stopped'),
  acceptorEnded: topic<AcceptorEnded>('acceptor.ended'),
  requestsRepeated: topic<RequestsRepeated>('requests.repeated'),
  runnerEnded: topic<RunnerEnded>('runner.ended'),
  runnerStarted: topic<RunnerStarted>('runner.started'),
  breakerChanged: topic<BreakerChanged>('breaker.changed'),
  modelChanged: topic<ModelChanged>('model.changed'),
  shadowEnded: topic<ShadowEnded>('shadow.ended'),
  rolloutChanged: topic<RolloutChanged>('rollout.changed'),
  changeEnded: topic<ChangeEnded>('change.ended'),
  notice: topic<Notice>('notice'),
} as const;
