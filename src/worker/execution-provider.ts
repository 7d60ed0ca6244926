/** Chooses the provider from a preference list, and records why the earlier ones were refused. */

import { createRequire } from 'node:module';
import type { InferenceSession } from 'onnxruntime-node';
import { messageOf } from '../error-message.ts';
import { findOnnxRuntime } from './onnx-runtime-package.ts';
import type { ExecutionProvider, ProviderRefusal, SessionSpec } from './protocol.ts';

export interface OpenedSession {
  readonly session: InferenceSession;
  readonly provider: ExecutionProvider;
  readonly refusals: readonly ProviderRefusal[];
}

/**
 * Opens the model with the first provider of `spec.providers` that accepts it.
 *
 * ONNX Runtime's binding throws for the whole list when one of its providers cannot load, so each is tried by itself.
 * @throws Error where none accepts, or, with `strictProviders`, where the first does not.
 */
export async function openSession(spec: SessionSpec): Promise<OpenedSession> {
  const { InferenceSession } = loadOnnxRuntime();
  const refusals: ProviderRefusal[] = [];
  for (const provider of spec.providers) {
    try {
      const session = await InferenceSession.create(spec.modelPath, sessionOptions(spec, provider));
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

/** The binding reports an unknown element type only by its number in ONNX. */
function describeRefusal(error: unknown): string {
  const text = messageOf(error);
  if (text !== 'Unsupported data type: 16') return text;
  return "an input or output is BF16, which ONNX Runtime's binding for Node cannot open: export it as FP16 or FP32";
}

function sessionOptions(spec: SessionSpec, provider: ExecutionProvider): InferenceSession.SessionOptions {
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
