/** The model versions of a repository: each is loaded as a server would, in a runner of its own, and ended again. */

import { messageOf } from '../../../error-message.ts';
import { Mailbox } from '../../../worker/mailbox.ts';
import { RunnerProcess } from '../../dispatch/runner-process.ts';
import { type PlanDefaults, planModel } from '../../models/model-plan.ts';
import type { ModelPlan } from '../../models/planned-version.ts';
import { type ModelFolder, RepositoryError, scanRepository } from '../../repository/model-repository.ts';
import { resolveSignature } from '../../repository/signature/model-signature.ts';
import { readSignatureSources } from '../../repository/signature/signature-sources.ts';
import type { Finding, InstancePlacement } from './finding.ts';

/** Yields a finding for each version, and for each model without a usable version. Loads one at a time. */
export async function* checkModels(
  repository: string,
  defaults: PlanDefaults,
  env: NodeJS.ProcessEnv,
): AsyncGenerator<Finding> {
  let folders: readonly ModelFolder[];
  try {
    folders = await scanRepository(repository);
  } catch (error) {
    if (!(error instanceof RepositoryError)) throw error;
    yield { level: 'fail', subject: 'model repository', text: error.message };
    return;
  }
  if (folders.length === 0) {
    const advice = 'put models into it as <model>/<version>/model.onnx (docs/models.md)';
    yield { level: 'warn', subject: 'model repository', text: `${repository} holds no model`, advice };
  }
  for (const folder of folders) {
    let plans: readonly ModelPlan[];
    try {
      plans = await planModel(folder, defaults);
    } catch (error) {
      yield { level: 'fail', subject: `model ${folder.name}`, text: messageOf(error) };
      continue;
    }
    for (const plan of plans) yield await checkVersion(plan, env);
  }
}

async function checkVersion(plan: ModelPlan, env: NodeJS.ProcessEnv): Promise<Finding> {
  const { name, version } = plan.ref;
  const subject = `model ${name} version ${version}`;
  if (plan.problem !== undefined) return { level: 'fail', subject, text: plan.problem };
  try {
    const instances = await loadInstances(plan, env);
    const refusals = describeRefusals(instances);
    const text = describeInstances(instances);
    if (refusals === '') return { level: 'ok', subject, text, instances };
    const advice = 'see the findings about these providers above, or remove them from execution_providers';
    return { level: 'warn', subject, text: `${text}; ${refusals}`, advice, instances };
  } catch (error) {
    return { level: 'fail', subject, text: messageOf(error) };
  }
}

/**
 * Loads every instance of a version into one runner, so that they are all there at the same time.
 * @throws LoadError where one does not load, or ModelConfigError where model and configuration contradict each other.
 */
async function loadInstances(plan: ModelPlan, env: NodeJS.ProcessEnv): Promise<InstancePlacement[]> {
  const runner = RunnerProcess.start(`doctor ${plan.ref.name}:${plan.ref.version}`, env);
  try {
    const instances: InstancePlacement[] = [];
    for (const [index, spec] of plan.sessions.entries()) {
      const mailbox = Mailbox.create(plan.mailboxDirectory);
      try {
        const info = await runner.load(index, mailbox.path, spec, plan.loadLimitMs);
        if (index === 0) {
          const { directory, config } = plan;
          resolveSignature(
            info,
            config,
            await readSignatureSources(info, config, { directory, modelPath: spec.modelPath }),
          );
        }
        const { provider, refusals } = info;
        instances.push({ provider, deviceId: provider === 'cpu' ? undefined : spec.deviceId, refusals });
      } finally {
        mailbox.close();
      }
    }
    return instances;
  } finally {
    runner.kill('the model was checked');
    await runner.ended;
  }
}

/** Such as `1 instance on cuda:0, 2 instances on cpu`. */
export function describeInstances(instances: readonly InstancePlacement[]): string {
  const counts = new Map<string, number>();
  for (const { provider, deviceId } of instances) {
    const place = deviceId === undefined ? provider : `${provider}:${deviceId}`;
    counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  return [...counts].map(([place, count]) => `${count} instance${count === 1 ? '' : 's'} on ${place}`).join(', ');
}

/** Each refusal once, however many instances met it. */
export function describeRefusals(instances: readonly InstancePlacement[]): string {
  const texts = instances.flatMap(({ refusals }) =>
    refusals.map(({ provider, reason }) => `${provider} is not used: ${reason}`),
  );
  return [...new Set(texts)].join('; ');
}
