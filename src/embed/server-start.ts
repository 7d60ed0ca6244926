/** Starts the gateway in this process. */

import { readFileSync } from 'node:fs';
import { type ModelSummary, type ProcessContext, startServer } from '../gateway/main.ts';
import { fitSettings } from '../gateway/ops/capacity.ts';
import { readCapacity } from '../gateway/ops/machine-capacity.ts';
import type { SettingsInput } from '../gateway/ops/settings.ts';
import { completeSettings } from '../gateway/ops/settings-loading.ts';
import { type GivenSettings, readOptions } from '../gateway/ops/settings-sources.ts';
import { openRepository } from '../gateway/repository/opened-repository.ts';

/** Settings of `docs/configuration.md` by their keys; paths are relative to the current directory. All but `models` have defaults. */
export interface ServerOptions extends Partial<Omit<SettingsInput, 'modelRepository'>> {
  /** An ONNX file, a folder with one model, or a model repository. */
  readonly models: string;
}

export interface EmbeddedServer extends AsyncDisposable {
  /** `host:port` of gRPC. */
  readonly address: string;
  /** `http://host:port` of REST, metrics and probes. */
  readonly httpAddress: string;
  /** `host:port` of the RPCs that change the server, where `adminPort` is set. */
  readonly adminAddress: string | undefined;
  /** Resolves when the server is ready; rejects with an Error that says why it is not, when no model is being loaded any more. */
  readonly ready: Promise<void>;
  /** Each version of each model, and its state. */
  models(): readonly ModelSummary[];
  /** Answers the accepted requests, then ends. The process itself goes on. */
  close(): Promise<void>;
}

type StandIn = ProcessContext['standIn'];

/**
 * Starts a server, as `createServer` says.
 * @param standIn serves versions in place of their files
 */
export async function startEmbedded({ models, ...options }: ServerOptions, standIn?: StandIn): Promise<EmbeddedServer> {
  const repository = await openRepository(models);
  try {
    const httpPort = options.httpPort ?? (options.grpcPort === 0 ? 0 : undefined);
    const flags = { ...options, httpPort, modelRepository: repository.directory };
    return await start(readOptions(flags, process.cwd()), standIn, () => repository.close());
  } catch (error) {
    await repository.close();
    throw error;
  }
}

async function start(given: GivenSettings, standIn: StandIn, cleanUp: () => Promise<void>): Promise<EmbeddedServer> {
  const asked = completeSettings(given);
  const { settings, findings } = fitSettings(asked, given, await readCapacity(asked));
  const server = await startServer(settings, {
    ...{ env: process.env, version: versionOf(), capacity: findings, given },
    ...(standIn && { standIn }),
  });
  const ready = server.loaded.then(() => {
    const { obstacles } = server.readiness;
    if (obstacles.length > 0) throw new Error(`the server is not ready: ${obstacles.join('; ')}`);
  });
  // A caller that does not wait for it ignores its failure.
  ready.catch(() => {});
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= server.stop().finally(cleanUp);
    return closed;
  };
  const host = server.host.includes(':') ? `[${server.host}]` : server.host;
  return {
    address: `${host}:${server.grpcPort}`,
    httpAddress: `http://${host}:${server.httpPort}`,
    adminAddress: server.adminPort === undefined ? undefined : `${host}:${server.adminPort}`,
    ready,
    models: () => server.models(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function versionOf(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
