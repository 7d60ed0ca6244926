/** A server in the process of its caller: what the package `tensorgate` exports. */

import { type EmbeddedServer, type ServerOptions, startEmbedded } from './server-start.ts';

export type { ModelSummary } from '../gateway/main.ts';
export { SettingsError } from '../gateway/ops/settings-error.ts';
export { RepositoryError } from '../gateway/repository/model-repository.ts';
export type { EmbeddedServer, ServerOptions };

/**
 * Starts a server in this process; models run in child processes. Resolves when its ports are bound, while models are loaded. No file
 * and no environment variable gives settings. With `grpcPort: 0` the HTTP port is free too, unless `httpPort` names one.
 *
 * ```ts
 * await using server = await createServer({ models: 'model.onnx', grpcPort: 0 });
 * await server.ready;
 * ```
 * @throws SettingsError with every setting that is wrong
 * @throws RepositoryError where there are no such models
 * @throws Error where a port cannot be bound
 */
export function createServer(options: ServerOptions): Promise<EmbeddedServer> {
  return startEmbedded(options);
}
