import type { SessionSpec } from '../../worker/protocol.ts';
import type { TenantOf } from '../batch/tenants.ts';
import type { ModelRef } from '../ops/diagnostics.ts';
import type { ConfigOrigins } from '../repository/config/config-file.ts';
import type { ModelConfig } from '../repository/config/model-config.ts';

/** Limits of the loads, runs and requests of a version. */
export interface VersionLimits {
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

/** Everything that is known of a version before it is loaded. */
export interface ModelPlan extends VersionLimits {
  readonly ref: ModelRef;
  readonly config: ModelConfig;
  /** Where the fields of the configuration are written; absent where no one asks. */
  readonly origins?: ConfigOrigins | undefined;
  /** Where the configuration and its label files lie. */
  readonly directory: string;
  /** Fingerprint of the version's files at planning: the load compares them. Not compared if absent. */
  readonly fingerprint?: string | undefined;
  readonly sessions: readonly SessionSpec[];
  /** Why it cannot be loaded, where that is known already. */
  readonly problem: string | undefined;
}
