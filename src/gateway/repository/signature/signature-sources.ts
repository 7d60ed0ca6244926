/** Reads from disk what the signature of a model depends on, so that resolving it does not wait for a disk. */

import type { SessionInfo } from '../../../worker/protocol.ts';
import type { ModelConfig } from '../config/model-config.ts';
import { readModelFiles } from '../model-files.ts';
import { readGraphInputs } from './graph-inputs.ts';
import type { SignatureSources } from './model-signature.ts';

export async function readSignatureSources(
  { inputs }: Pick<SessionInfo, 'inputs'>,
  config: ModelConfig,
  { directory, modelPath }: { readonly directory: string; readonly modelPath: string | undefined },
): Promise<SignatureSources> {
  const files = await readModelFiles(directory, config);
  const isReported = (name: string): boolean => inputs.some((tensor) => tensor.name === name);
  // The graph is only followed where the configuration names an input that the session does not have.
  const unreported = config.input.filter(({ name }) => !isReported(name));
  if (unreported.length === 0 || modelPath === undefined) return { files, initializers: new Set() };
  const listed = await readGraphInputs(modelPath);
  return { files, initializers: new Set([...listed].filter((name) => !isReported(name))) };
}
