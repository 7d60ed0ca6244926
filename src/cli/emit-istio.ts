import { CliError } from './cli-error.ts';
import { formatSteps, istioSteps } from './istio-steps.ts';
import type { RolloutFlags } from './rollout.ts';

export interface EmitFlags {
  readonly step?: string;
}

/** Prints the steps of a rollout as patches for deploy/istio. Asks no server. Returns the exit code. */
export function emitIstio(model: string, { to, step, ...flags }: RolloutFlags & EmitFlags): number {
  const percents = flags.steps ?? [1, 10, 50, 100];
  const isAscending = percents.every((percent, index) => percent > (percents[index - 1] ?? 0));
  if (!isAscending || percents.at(-1) !== 100 || !percents.every(Number.isInteger)) {
    throw new CliError(
      `--steps: Istio has whole percentages, ascending, the last of them 100: got ${percents.join(',')}`,
    );
  }
  const steps = istioSteps({
    model,
    to,
    shadowShare: flags.shadowShare ?? 0.1,
    steps: percents,
    holdMs: flags.holdMs ?? 60_000,
    maxErrorRate: flags.maxErrorRate ?? 0.01,
    maxP99Ratio: flags.maxP99Ratio ?? 1.5,
  });
  const chosen = step === undefined ? steps : steps.filter(({ name }) => name === step);
  if (chosen.length === 0)
    throw new CliError(`--step: expected one of ${steps.map(({ name }) => name).join(', ')}, got '${step}'`);
  process.stdout.write(formatSteps(chosen));
  return 0;
}
