/** Chooses the provider from a preference list, and records why the earlier ones were refused. */

import { createRequire } from 'node:module';
import type { InferenceSession } from 'onnxruntime-node';
import { messageOf } from '../error-message.ts';
import type { RewrittenModel } from '../onnx/model-rewriting.ts';
import { describeRefusal } from './model-refusal.ts';
import { externalWeights, type ModelSource, readModelSource } from './model-source.ts';
import { findOnnxRuntime } from './onnx-runtime-package.ts';
import type { ExecutionProvider, ModelSpec, ProviderRefusal } from './protocol.ts';

export interface OpenedSession {
  readonly session: InferenceSession;
  /** Absent where the file was opened as it is. */
  readonly rewritten?: RewrittenModel | undefined;
  readonly provider: ExecutionProvider;
  readonly refusals: readonly ProviderRefusal[];
}

/**
 * Opens the model with the first provider of `spec.providers` that accepts it.
 *
 * ONNX Runtime's binding throws for the whole list when one of its providers cannot load, so each is tried by itself.
 * @throws Error where none accepts, or, with `strictProviders`, where the first does not.
 */
export async function openSession(spec: ModelSpec): Promise<OpenedSession> {
  const source = await readModelSource(spec.modelPath, spec);
  try {
    return { ...(await openWith(source, spec)), rewritten: source.rewritten };
  } catch (error) {
    throw isBf16(source) && NO_KERNEL.test(messageOf(error)) ? new Error(`${messageOf(error)}; ${BF16_HINT}`) : error;
  } finally {
    // Not when it is collected: it holds all weights.
    if (typeof source.model !== 'string') source.model.buffer.transfer(0);
  }
}

const NO_KERNEL = /Could not find an implementation for/;
const BF16_HINT = 'few kernels of ONNX Runtime compute in BF16: export the model as FP16 or FP32';

function isBf16({ rewritten }: ModelSource): boolean {
  return rewritten !== undefined && rewritten.floatInputs.size + rewritten.floatOutputs.size > 0;
}

async function openWith({ model }: ModelSource, spec: ModelSpec): Promise<OpenedSession> {
  const { InferenceSession } = loadOnnxRuntime();
  const refusals: ProviderRefusal[] = [];
  for (const provider of spec.providers) {
    try {
      const options = sessionOptions(spec, provider);
      const session =
        typeof model === 'string'
          ? await InferenceSession.create(model, options)
          : await InferenceSession.create(model, withWeights(options, spec));
      return { session, provider, refusals };
    } catch (error) {
      const reason = describeRefusal(error);
      // A model that the CPU provider refuses is broken for all providers; the CPU provider's text helps most.
      if (provider === 'cpu' && refusals.length === 0) throw new Error(reason, { cause: error });
      refusals.push({ provider, reason });
      if (spec.strictProviders) break;
    }
  }
  const reasons = refusals.map(({ provider, reason }) => `${provider}: ${reason}`).join('; ');
  const rule = spec.strictProviders ? ' (strict_execution_providers forbids another)' : '';
  throw new Error(`no execution provider accepts the model${rule}: ${reasons}`);
}

function loadOnnxRuntime(): typeof import('onnxruntime-node') {
  return createRequire(import.meta.url)(findOnnxRuntime().directory);
}

function withWeights(
  options: InferenceSession.SessionOptions,
  { modelPath }: ModelSpec,
): InferenceSession.SessionOptions {
  return { ...options, extra: { ...options.extra, ...externalWeights(modelPath) } };
}

function sessionOptions(spec: ModelSpec, provider: ExecutionProvider): InferenceSession.SessionOptions {
  const { extra, ...options } = spec.options;
  // Without this, ONNX Runtime silently runs what a GPU provider does not take on the CPU.
  const strict = spec.strictProviders && provider !== 'cpu' ? { 'session.disable_cpu_ep_fallback': '1' } : {};
  return {
    ...options,
    executionProviders: providerChain(provider, spec.deviceId),
    extra: { ...extra, ...strict },
    // Errors come back as texts; ONNX Runtime's own lines on stderr would only repeat them.
    logSeverityLevel: 4,
  };
}

/** TensorRT leaves what it cannot take to CUDA on the same device. */
function providerChain(provider: ExecutionProvider, deviceId: number): InferenceSession.ExecutionProviderConfig[] {
  switch (provider) {
    case 'cpu':
      return ['cpu'];
    case 'cuda':
      return [{ name: 'cuda', deviceId }];
    case 'tensorrt':
      return [
        { name: 'tensorrt', deviceId },
        { name: 'cuda', deviceId },
      ];
  }
}
