import { accepted } from './accepted.ts';
import { authorization } from './authorization.ts';
import { balance } from './balance.ts';
import { canaryHeader } from './canary-header.ts';
import { canaryShare } from './canary-share.ts';
import { circuitBreaker } from './circuit-breaker.ts';
import { controlStable } from './control-stable.ts';
import { deadline } from './deadline.ts';
import { goldenOf } from './golden.ts';
import { identity } from './identity.ts';
import { ingressToken } from './ingress-token.ts';
import { leastRequest } from './least-request.ts';
import { localityFailover } from './locality-failover.ts';
import { modelReload } from './model-reload.ts';
import { orcaWeights } from './orca-weights.ts';
import { outlier } from './outlier.ts';
import { outlierUserErrors } from './outlier-user-errors.ts';
import { probes } from './probes.ts';
import type { Proof } from './proof.ts';
import { retryBudget } from './retry-budget.ts';
import { retryNowhereElse } from './retry-nowhere-else.ts';
import { retryOnce } from './retry-once.ts';
import { rollingRestart } from './rolling-restart.ts';
import { strict } from './strict.ts';

/** All of them, in the order in which they run: a request's path first, then what disturbs the mesh. */
export const PROOFS: readonly Proof[] = [
  goldenOf('canary'),
  identity,
  strict,
  authorization,
  canaryShare,
  canaryHeader,
  controlStable,
  balance,
  leastRequest,
  deadline,
  circuitBreaker,
  outlierUserErrors,
  retryOnce,
  retryNowhereElse,
  retryBudget,
  outlier,
  probes,
  modelReload,
  rollingRestart,
  goldenOf('orca'),
  accepted,
  orcaWeights,
  goldenOf('locality'),
  localityFailover,
  goldenOf('ingress'),
  ingressToken,
];
