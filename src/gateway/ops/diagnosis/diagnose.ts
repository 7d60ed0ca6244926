/** Whether a server would serve on this machine: looks at what it needs, and at each model of its repository. */

import { planDefaults } from '../../models/model-plan.ts';
import type { Settings } from '../settings.ts';
import { checkProviders } from './execution-providers.ts';
import type { Finding } from './finding.ts';
import { checkCores } from './machine.ts';
import { checkMailboxDirectory } from './mailbox-directory.ts';
import { checkModels } from './model-versions.ts';
import { checkPorts } from './ports.ts';

export type { Finding };

/** The settings of a server, which may have no repository yet. */
export type DiagnosedSettings = Omit<Settings, 'modelRepository'> & { readonly modelRepository: string | undefined };

/**
 * Yields what it finds as soon as it is found: loading models takes time.
 * @param env what runners see, as they would of a server.
 */
export async function* diagnose(settings: DiagnosedSettings, env: NodeJS.ProcessEnv): AsyncGenerator<Finding> {
  yield checkCores();
  yield* await checkPorts(settings);
  const mailbox = checkMailboxDirectory(settings);
  yield mailbox;
  if (mailbox.level === 'fail') {
    const text = 'providers and models were not tried: they need the mailbox';
    yield { level: 'fail', subject: 'onnxruntime', text, advice: 'put the mailbox right first' };
    return;
  }
  yield* await checkProviders(settings, env);
  if (settings.modelRepository === undefined) {
    const advice = 'name a repository with --model-repository DIR to have its models loaded';
    yield { level: 'warn', subject: 'model repository', text: 'none given, so no model was tried', advice };
    return;
  }
  yield* checkModels(settings.modelRepository, planDefaults(settings), env);
}
