/** `tensorgate.v1.Models`: what the server knows of its models beyond the protocol. */

import type { ModelExplanation } from '../../wire/model-explanation.ts';
import type { Routes } from './call.ts';
import { loadCodecs } from './definition.ts';
import { unaryMethod } from './unary-method.ts';

interface ModelsRpcs {
  readonly Explain: {
    /** An empty version lets the server choose. */
    readonly request: { readonly model: string; readonly version: string };
    readonly response: { readonly explanation: string };
  };
}

/** The implementation of the service; a thrown error becomes the status. */
export interface ModelsApi {
  explain(model: string, version: string): ModelExplanation;
}

export function modelsRoutes(api: ModelsApi): Routes {
  const { Explain } = loadCodecs<ModelsRpcs>('tensorgate.v1.Models');
  return new Map([
    [
      Explain.path,
      unaryMethod(Explain, ({ model, version }) => ({ explanation: JSON.stringify(api.explain(model, version)) })),
    ],
  ]);
}
