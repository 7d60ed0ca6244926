/** From a model's configuration to what its queue grants each level of priority. */

import { QueuePolicies, type QueuePolicy } from '../batch/queue-policy.ts';
import { DEFAULT_MAX_QUEUE_SIZE, type ModelConfig } from '../repository/config/model-config.ts';

export function queuePolicies({ dynamic_batching: dynamic }: ModelConfig): QueuePolicies {
  const { priority_levels: levels, default_priority_level: defaultLevel } = dynamic;
  const unlisted = policyOf(dynamic.default_queue_policy);
  if (levels === 0) return new QueuePolicies([unlisted]);
  const at = (level: number): QueuePolicy => {
    const own = dynamic.priority_queue_policy[level];
    return own === undefined ? unlisted : policyOf(own);
  };
  const others = Array.from({ length: levels - 1 }, (_, index) => at(index + 2));
  return new QueuePolicies([at(1), ...others], defaultLevel);
}

function policyOf(config: ModelConfig['dynamic_batching']['default_queue_policy']): QueuePolicy {
  const { max_queue_size: size = DEFAULT_MAX_QUEUE_SIZE } = config;
  return {
    maxRequests: size === 0 ? Number.POSITIVE_INFINITY : size,
    defaultTimeoutMs: config.default_timeout_microseconds / 1_000 || Number.POSITIVE_INFINITY,
    allowTimeoutOverride: config.allow_timeout_override,
    timeoutAction: config.timeout_action === 'DELAY' ? 'delay' : 'reject',
  };
}
