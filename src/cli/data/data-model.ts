import type { ModelMetadata } from '../../client/inference-client.ts';
import type { TextTokens } from '../../compare/text-tokens.ts';
import type { ModelSignature } from '../../gateway/repository/signature/model-signature.ts';

/** Facts of a model that readers of rows need. */
export interface DataModel {
  readonly metadata: ModelMetadata;
  readonly signature: Pick<ModelSignature, 'inputs' | 'batching'>;
  /** Only of a model with a tokenizer. */
  readonly tokens?: TextTokens | undefined;
}
