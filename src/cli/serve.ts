import { once } from 'node:events';
import { flushCompileCache } from 'node:module';
import { optimizeEarly } from '../early-optimization.ts';
import type { ModelSummary, Server } from '../gateway/main.ts';
import { type FittedSettings, fitSettings } from '../gateway/ops/capacity.ts';
import { diagnostics } from '../gateway/ops/diagnostics.ts';
import { readCapacity } from '../gateway/ops/machine-capacity.ts';
import type { Settings } from '../gateway/ops/settings.ts';
import { SettingsError } from '../gateway/ops/settings-error.ts';
import { completeSettings, describeSettings } from '../gateway/ops/settings-loading.ts';
import { type GivenSettings, readSources, type SettingsSources } from '../gateway/ops/settings-sources.ts';
import { RepositoryError } from '../gateway/repository/model-repository.ts';
import { openRepository } from '../gateway/repository/opened-repository.ts';
import { MAX_TIMER_MS } from '../timer-limit.ts';
import { CliError } from './cli-error.ts';
import { Interruption } from './interruption.ts';
import { showLoading } from './loading-line.ts';
import { endProcess } from './process-end.ts';
import { type ConfigFlags, settingsSources } from './setting-options.ts';
import { reportStart } from './start-report.ts';
import { formatTable } from './table.ts';
import { watchFaults } from './uncaught-fault.ts';

export interface ServeFlags extends ConfigFlags {
  readonly printConfig?: boolean;
  /** An ONNX file, a folder with one model, or a repository, in place of the setting `modelRepository`. */
  readonly what?: string | undefined;
}

/**
 * Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once. `given` holds the settings of the
 * command line by their keys. Returns the exit code.
 * @throws CliError where the settings are wrong, or the server cannot start
 */
export async function serve(given: SettingsSources['flags'], flags: ServeFlags, version: string): Promise<number> {
  const { what } = flags;
  if (what !== undefined && given['modelRepository'] !== undefined) {
    throw new CliError(`two places of models: '${what}' and --model-repository; give one of them`);
  }
  const settingsFor = (modelRepository: string | undefined): GivenSettings => {
    const flagged = modelRepository === undefined ? given : { ...given, modelRepository };
    return readSources(settingsSources(flagged, flags, process.env));
  };
  try {
    if (flags.printConfig === true) {
      await printSettings(settingsFor(what));
      return 0;
    }
    const repository = what === undefined ? undefined : await openRepository(what);
    const cleanUp = async (): Promise<void> => repository?.close();
    try {
      return await serveUntilSignal(settingsFor(repository?.directory), version, cleanUp);
    } finally {
      await cleanUp();
    }
  } catch (error) {
    throw isExpected(error) ? new CliError(error.message, { cause: error }) : error;
  }
}

/** Wrong settings, no repository, or what the operating system refuses: a port that is in use, say. */
function isExpected(error: unknown): error is Error {
  if (error instanceof SettingsError || error instanceof RepositoryError) return true;
  return error instanceof Error && (isSystemError(error) || isSystemError(error.cause));
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

async function printSettings(given: GivenSettings): Promise<void> {
  const described = describeSettings(given);
  const asked = Object.fromEntries(described.map(({ key, value }) => [key, value])) as Settings;
  const { settings } = await fitToMachine(asked, given);
  const rows = described.map(({ key, value, origin }) => {
    const inForce = settings[key];
    return [key, formatValue(inForce), inForce === value ? origin : `${origin}, fitted to this machine`];
  });
  process.stdout.write(formatTable(['setting', 'value', 'origin'], rows));
}

/** Fits settings that no source names to the machine and the terminal. */
async function fitToMachine(asked: Settings, given: GivenSettings): Promise<FittedSettings<Settings>> {
  const { settings, findings } = fitSettings(asked, given, await readCapacity(asked));
  const isForEyes = process.stderr.isTTY === true && !given.has('logFormat');
  return { settings: isForEyes ? { ...settings, logFormat: 'text' } : settings, findings };
}

function formatValue(value: unknown): string {
  return value === undefined ? '' : String(value);
}

/** Ends the process with the exit code, after `cleanUp`; rejects where the server cannot start. */
async function serveUntilSignal(given: GivenSettings, version: string, cleanUp: () => Promise<void>): Promise<never> {
  const asked = completeSettings(given);
  const { settings, findings } = await fitToMachine(asked, given);
  // A closed pipe must not end the server.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  let server: Server | undefined;
  const kill = (code: number, waitMs: number): void => {
    server?.kill();
    void cleanUp();
    void endProcess(code, waitMs);
  };
  // The first process of a container has no default action for signals: this one listens from the beginning.
  const second = (code: number): void => kill(code, SECOND_SIGNAL_MS);
  const { signal } = new Interruption(second);
  const end = Promise.race([once(signal, 'abort').then(() => 0), watchFaults(logFault).then(() => 1)]);
  const limitMs = Math.min(MAX_TIMER_MS, settings.lameDuckMs + settings.drainTimeoutMs + CLOSING_LIMIT_MS);
  void end.then(() => {
    // A repository or an exporter that hangs may hold up the end: the process does not outlive its time.
    setTimeout(() => {
      logFault(`the server has not ended within ${limitMs} ms: the remaining work is killed`);
      kill(1, 0);
    }, limitMs).unref();
  });
  const { startServer } = await import('../gateway/main.ts');
  server = await startServer(settings, { env: process.env, version, capacity: findings, given });
  const models = (): readonly ModelSummary[] => server?.models() ?? [];
  const takeAway = process.stderr.isTTY === true ? showLoading(process.stderr, models) : undefined;
  const endedEarly = await Promise.race([server.loaded, end]);
  takeAway?.();
  if (endedEarly === undefined) {
    reportStart(server, settings);
    // Node itself writes it only when a process ends in peace.
    flushCompileCache();
    optimizeEarly();
  }
  const exitCode = await end;
  await server.stop();
  await cleanUp();
  // Not by returning: what still holds the event loop is nothing that anyone waits for, such as the connection of an exporter.
  return endProcess(exitCode, limitMs);
}

/** After `lameDuckMs` and `drainTimeoutMs`. */
const CLOSING_LIMIT_MS = 450;
/** After a second signal, for files that are being read or written. */
const SECOND_SIGNAL_MS = 100;

function logFault(text: string, cause?: unknown): void {
  if (diagnostics.notice.active) diagnostics.notice.publish({ level: 'error', text, cause });
  // Nothing logs yet, or any more.
  else process.stderr.write(`error: ${text}${cause instanceof Error ? `: ${cause.stack}` : ''}\n`);
}
