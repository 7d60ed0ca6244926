/** The paths of REST, and what answers each: the same calls as behind gRPC (KServe: inference_rest.md; Triton's extensions; OpenAI; hosting platforms). */

import { InferError } from '../../errors.ts';
import type { ControlApi } from '../control-service.ts';
import type { InferenceApi } from '../inference-service.ts';
import { modelRoutes } from './model-routes.ts';
import { openAiRoutes } from './openai/openai-routes.ts';
import { type PlatformPaths, platformRoutes } from './platforms/platform-routes.ts';
import { repositoryRoutes } from './repository-routes.ts';
import type { RestRoute } from './rest-route.ts';
import { settingsRoutes } from './settings-routes.ts';
import { sharedMemoryRoutes } from './shared-memory-routes.ts';

export interface RouteOptions extends PlatformPaths {
  /** Whether paths that change the server are served here. */
  readonly servesAdmin: boolean;
}

export function restRoutes(
  api: InferenceApi,
  control: ControlApi,
  { servesAdmin, ...paths }: RouteOptions,
): readonly RestRoute[] {
  const admin = (rpc: string): InferError | undefined => {
    if (servesAdmin) return undefined;
    const text = `${rpc} is not offered over REST here: call it over gRPC, on the admin port where there is one`;
    return new InferError('unimplemented', text);
  };
  return [
    ...modelRoutes(api, control),
    ...repositoryRoutes(control, admin),
    ...settingsRoutes(control, admin),
    ...openAiRoutes(api, control),
    ...platformRoutes(api, control, paths),
    ...(['system', 'cuda'] as const).flatMap(sharedMemoryRoutes),
  ];
}
