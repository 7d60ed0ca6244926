/** The messages of `grpc.health.v1.Health`, as proto-loader reads them from `proto/`. */

import { type Methods, methodsOf } from './service-methods.ts';

/** Status of a server or of a model. `SERVICE_UNKNOWN`: the server does not know the model now. */
export type HealthStatus = 'UNKNOWN' | 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';

interface HealthService {
  Watch: { request: { readonly service: string }; response: { readonly status: HealthStatus } };
}

export function watchMethod(): Methods<HealthService>['Watch'] {
  return methodsOf<HealthService>('health.proto', 'grpc.health.v1.Health').Watch;
}
