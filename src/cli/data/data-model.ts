import type { ModelMetadata } from '../../client/inference-client.ts';
import type { ModelSignature } from '../../gateway/repository/signature/model-signature.ts';

/** What has to be known of a model to read rows for it. */
export interface DataModel {
  readonly metadata: ModelMetadata;
  readonly signature: ModelSignature;
}
