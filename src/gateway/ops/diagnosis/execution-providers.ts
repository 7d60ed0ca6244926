/** Checks ONNX Runtime and its execution providers: installed files, loadable providers, missing libraries. */

import fs from 'node:fs';
import path from 'node:path';
import { messageOf } from '../../../error-message.ts';
import { findOnnxRuntime, type OnnxRuntimePackage, packageSpec } from '../../../worker/onnx-runtime-package.ts';
import { EXECUTION_PROVIDERS, type ExecutionProvider } from '../../../worker/protocol.ts';
import type { Settings } from '../settings.ts';
import type { Finding } from './finding.ts';
import { inspectProvider, type ProviderFiles } from './provider-files.ts';
import { type Trial, tryProvider } from './provider-trial.ts';

export type ProviderSettings = Pick<
  Settings,
  'executionProviders' | 'strictExecutionProviders' | 'mailboxDirectory' | 'runnerStartTimeoutMs'
>;

/** The only platform for which ONNX Runtime's package can have CUDA and TensorRT. */
const GPU_PLATFORM = 'linux/x64';

/** The version of the installed package; empty where there is none. */
export function onnxRuntimeVersion(): string {
  try {
    return findOnnxRuntime().version;
  } catch {
    return '';
  }
}

/** @param find the package of ONNX Runtime. */
export async function checkProviders(
  settings: ProviderSettings,
  env: NodeJS.ProcessEnv,
  find: () => OnnxRuntimePackage = findOnnxRuntime,
): Promise<Finding[]> {
  const platform = `${process.platform}/${process.arch}`;
  const subject = 'onnxruntime';
  let found: OnnxRuntimePackage;
  try {
    found = find();
  } catch (error) {
    const advice = 'install onnxruntime-node with npm in the directory where tensorgate is installed';
    return [{ level: 'fail', subject, text: messageOf(error), advice }];
  }
  const { version, directory, bindingDirectory } = found;
  if (bindingDirectory === undefined) {
    const text = `onnxruntime-node ${version} has no binding for ${platform}`;
    return [{ level: 'fail', subject, text, advice: 'run on linux/x64, linux/arm64 or darwin/arm64' }];
  }
  const reports: ProviderReport[] = [];
  for (const provider of EXECUTION_PROVIDERS) {
    // Without the CPU no server runs, so it is tried even if it is not asked for.
    if (provider !== 'cpu' && (platform !== GPU_PLATFORM || !settings.executionProviders.includes(provider))) continue;
    const files = await inspectProvider(bindingDirectory, provider, env);
    const trial = await tryProvider(provider, { ...settings, env, loadLimitMs: settings.runnerStartTimeoutMs });
    reports.push({ provider, files, trial });
  }
  const relative = path.relative(path.dirname(directory), bindingDirectory);
  return [
    { level: 'ok', subject, text: `onnxruntime-node ${version}, binding in ${relative}` },
    ...judgeProviders(reports, settings, commandForProviders(found)),
  ];
}

export interface ProviderReport {
  readonly provider: ExecutionProvider;
  readonly files: ProviderFiles;
  readonly trial: Trial;
}

/**
 * Reports the providers that the settings name, and the CPU if it is refused: without it no server runs.
 * @param fetchCommand that brings the provider libraries, for the advice.
 */
export function judgeProviders(
  reports: readonly ProviderReport[],
  settings: Pick<Settings, 'executionProviders' | 'strictExecutionProviders'>,
  fetchCommand: string,
): Finding[] {
  const { executionProviders: wanted, strictExecutionProviders: strict } = settings;
  const accepted = new Set(reports.filter(({ trial }) => trial.kind === 'accepted').map(({ provider }) => provider));
  const used = (strict ? wanted.slice(0, 1) : wanted).find((provider) => accepted.has(provider));
  const absent = wanted
    .filter((provider) => !reports.some((report) => report.provider === provider))
    .map((provider): Finding => {
      const text = `ONNX Runtime's package has no libraries of it for this platform`;
      const level = used === undefined ? 'fail' : 'warn';
      return { level, subject: provider, text, advice: 'leave it out of executionProviders, or run on linux/x64' };
    });
  const asked = reports.filter(
    ({ provider, trial }) => wanted.includes(provider) || (provider === 'cpu' && trial.kind === 'refused'),
  );
  const tried = asked.map(({ provider, files, trial }): Finding => {
    if (trial.kind === 'accepted') return { level: 'ok', subject: provider, text: describeUse(provider, used) };
    // Where the package lies is said once, above; a path in every line would only hide the names.
    const reason = trial.reason.replaceAll(/\S*\/(?=libonnxruntime)/g, '');
    const why = [...describeFiles(files), `ONNX Runtime says: ${reason}`].join('; ');
    const level = provider === 'cpu' || used === undefined ? 'fail' : 'warn';
    const instead = level === 'warn' ? `, ${used} is used instead` : '';
    return {
      level,
      subject: provider,
      text: `not available${instead}: ${why}`,
      advice: adviceFor(provider, files, fetchCommand),
    };
  });
  return [...absent, ...tried];
}

/** The package onnxruntime-node has a script for it; the files that come with tensorgate do not. */
function commandForProviders(found: OnnxRuntimePackage): string {
  const script = path.join(found.directory, 'script', 'install.js');
  if (fs.existsSync(script)) return `ONNXRUNTIME_NODE_INSTALL=true node ${script}`;
  return `ONNXRUNTIME_NODE_INSTALL=true npm install ${packageSpec(found)}`;
}

function describeUse(provider: ExecutionProvider, used: ExecutionProvider | undefined): string {
  return provider === used
    ? 'opens a model, and is the one used where a model does not say otherwise'
    : 'opens a model';
}

function describeFiles({ missing, unresolved }: ProviderFiles): string[] {
  const texts: string[] = [];
  if (missing.length > 0) texts.push(`beside the binding is no ${missing.join(', no ')}`);
  if (unresolved !== undefined && unresolved.length > 0) texts.push(`not found is ${unresolved.join(', ')}`);
  return texts;
}

const DRIVER_LIBRARY = 'libcuda.so.1';

function adviceFor(
  provider: ExecutionProvider,
  { missing, unresolved = [] }: ProviderFiles,
  fetchCommand: string,
): string {
  if (provider === 'cpu') {
    return 'the binding needs glibc 2.28 or newer and libstdc++: use an image such as node:24-bookworm-slim, not one of Alpine';
  }
  if (missing.length > 0) {
    return `${fetchCommand} fetches the provider libraries (docs/gpu.md)`;
  }
  const others = unresolved.filter((name) => name !== DRIVER_LIBRARY);
  if (others.length > 0) {
    return 'install the CUDA, cuDNN or TensorRT that has them, or name its directory in LD_LIBRARY_PATH (docs/gpu.md)';
  }
  if (unresolved.length > 0) {
    return `${DRIVER_LIBRARY} comes with NVIDIA's driver: start the container with a GPU (docker run --gpus all, nvidia.com/gpu)`;
  }
  return 'check with nvidia-smi that this process sees a GPU, and CUDA_VISIBLE_DEVICES (docs/gpu.md)';
}
