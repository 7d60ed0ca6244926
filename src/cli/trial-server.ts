/** A server in this process that loads models only to be asked about them: on loopback, on free ports, with no other client. */

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { InferenceClient } from '../client/inference-client.ts';
import type { Server } from '../gateway/main.ts';
import { fitSettings } from '../gateway/ops/capacity.ts';
import { readCapacity } from '../gateway/ops/machine-capacity.ts';
import type { Settings } from '../gateway/ops/settings.ts';
import { SettingsError } from '../gateway/ops/settings-error.ts';
import { completeSettings } from '../gateway/ops/settings-loading.ts';
import { type GivenSettings, readSources, type SettingsSources } from '../gateway/ops/settings-sources.ts';
import { listNames, vacancyOf } from '../gateway/repository/model-repository.ts';
import { openRepository } from '../gateway/repository/opened-repository.ts';
import { CliError } from './cli-error.ts';
import { Interruption } from './interruption.ts';
import { showLoading } from './loading-line.ts';
import { type ConfigFlags, settingsSources } from './setting-options.ts';

export interface TrialOptions {
  /** Settings of the command line, by key. */
  readonly given: SettingsSources['flags'];
  readonly flags: ConfigFlags;
  readonly version: string;
}

/**
 * Runs `work` with a client of a server that may load the models at a path.
 * @param what `undefined` stands for the repository of the settings
 * @param work receives the names of the models
 * @throws RepositoryError where the path holds no model; CliError for wrong settings, and after an interruption
 */
export async function withTrialServer(
  what: string | undefined,
  options: TrialOptions,
  work: (client: InferenceClient, names: readonly string[]) => Promise<void>,
): Promise<void> {
  // Until the end, so that an interruption leaves no temporary directory behind.
  using interruption = new Interruption();
  const repository = await openRepository(placeOf(what, options));
  const stateDirectory = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorgate-explain-'));
  try {
    const names = await listNames(repository.directory);
    const vacancy = vacancyOf(repository.directory, names);
    if (vacancy !== undefined) throw new CliError(vacancy);
    const place = { repository: repository.directory, stateDirectory };
    await serveFor(options, place, interruption.signal, (client) => work(client, names.models));
  } finally {
    await Promise.all([repository.close(), fs.rm(stateDirectory, { recursive: true, force: true })]);
  }
}

function placeOf(what: string | undefined, { given, flags }: TrialOptions): string {
  if (what !== undefined && given['modelRepository'] !== undefined) {
    throw new CliError(`two places of models: '${what}' and --model-repository; give one of them`);
  }
  if (what !== undefined) return what;
  const place = readGiven(given, flags).get('modelRepository')?.value;
  if (typeof place === 'string') return place;
  throw new CliError(
    'no models to explain: give a path, as in npx tensorgate explain MODEL.onnx, or a name with --url',
  );
}

/** @throws CliError with every problem of the sources */
function readGiven(given: SettingsSources['flags'], flags: ConfigFlags): GivenSettings {
  try {
    return readSources(settingsSources(given, flags, process.env));
  } catch (error) {
    throw error instanceof SettingsError ? new CliError(error.message, { cause: error }) : error;
  }
}

interface TrialPlace {
  readonly repository: string;
  readonly stateDirectory: string;
}

async function serveFor(
  { given, flags, version }: TrialOptions,
  place: TrialPlace,
  signal: AbortSignal,
  work: (client: InferenceClient) => Promise<void>,
): Promise<void> {
  const { settings, sources } = await trialSettings(given, flags, place);
  const { startServer } = await import('../gateway/main.ts');
  // Nothing of the trial is to reach the telemetry of the servers.
  const env = { ...process.env, OTEL_SDK_DISABLED: 'true' };
  const server = await startServer(settings, { env, version, given: sources });
  const takeAway = process.stderr.isTTY === true ? showLoading(process.stderr, () => server.models()) : undefined;
  using client = new InferenceClient(`127.0.0.1:${server.grpcPort}`);
  try {
    await Promise.race([work(client), interrupted(signal, server)]);
  } finally {
    takeAway?.();
    await server.stop();
  }
}

/** The settings that were given decide how models are served; how the server is reached, and by whom, is the trial's own. */
async function trialSettings(
  given: SettingsSources['flags'],
  flags: ConfigFlags,
  { repository, stateDirectory }: TrialPlace,
): Promise<{ settings: Settings; sources: GivenSettings }> {
  const sources = readGiven({ ...given, modelRepository: repository }, flags);
  try {
    const asked = completeSettings(sources);
    const { settings } = fitSettings(asked, sources, await readCapacity(asked));
    return { sources, settings: { ...settings, ...OWN_SETTINGS, stateDirectory } };
  } catch (error) {
    throw error instanceof SettingsError ? new CliError(error.message, { cause: error }) : error;
  }
}

const OWN_SETTINGS = {
  host: '127.0.0.1',
  grpcPort: 0,
  httpPort: 0,
  adminPort: undefined,
  transport: 'h2',
  tlsCertificate: undefined,
  tlsPrivateKey: undefined,
  tlsClientCa: undefined,
  controlPrincipals: [],
  corsOrigins: [],
  healthRoute: undefined,
  predictRoute: undefined,
  rest: 'off',
  tenantKey: '',
  modelControlMode: 'explicit',
  loadModel: [],
  loadOnDemand: false,
  record: 0,
  loadReports: 'off',
  drainTimeoutMs: 0,
  lameDuckMs: 0,
  // Failures come as the answers of loads.
  logLevel: 'fatal',
  logFormat: 'text',
} as const satisfies Partial<Settings>;

/** Rejects at the first signal; the runners are gone then. */
function interrupted(signal: AbortSignal, server: Server): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => {
      server.kill();
      reject(new CliError('interrupted'));
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
  });
}
