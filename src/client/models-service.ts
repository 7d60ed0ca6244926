/** The messages of `tensorgate.v1.Models`, served only by tensorgate, as proto-loader reads them from `proto/`. */

import { type Methods, methodsOf } from './service-methods.ts';

interface ModelsService {
  Explain: {
    request: { readonly model: string; readonly version: string };
    /** JSON of a `ModelExplanation`. */
    response: { readonly explanation: string };
  };
}

/** The definition of `Explain`. */
export function explainMethod(): Methods<ModelsService>['Explain'] {
  return methodsOf<ModelsService>('tensorgate.proto', 'tensorgate.v1.Models').Explain;
}
