import { constants } from 'node:os';
import type { ModelSummary, Server } from '../gateway/main.ts';
import { diagnostics } from '../gateway/ops/diagnostics.ts';
import {
  describeSettings,
  loadSettings,
  SETTINGS,
  type SettingDescription,
  SettingsError,
  type SettingsSources,
} from '../gateway/ops/settings.ts';
import { RepositoryError } from '../gateway/repository/model-repository.ts';
import { CliError } from './cli-error.ts';
import { formatTable } from './table.ts';
import { toOneLine } from './terminal-text.ts';
import { watchFaults } from './uncaught-fault.ts';

export { SETTINGS, type SettingDescription };

export interface ServeFlags {
  /** A file of settings. */
  readonly config?: string;
  readonly printConfig?: boolean;
}

/**
 * Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once. `given` holds the settings of the
 * command line by their keys. Returns the exit code.
 * @throws CliError where the settings are wrong, or the server cannot start
 */
export async function serve(given: SettingsSources['flags'], flags: ServeFlags, version: string): Promise<number> {
  const sources: SettingsSources = {
    flags: given,
    env: process.env,
    cwd: process.cwd(),
    ...(flags.config !== undefined && { file: flags.config }),
  };
  try {
    if (flags.printConfig !== true) return await serveUntilSignal(sources, version);
    printSettings(sources);
    return 0;
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

function printSettings(sources: SettingsSources): void {
  const rows = describeSettings(sources).map(({ key, value, origin }) => [key, formatValue(value), origin]);
  process.stdout.write(formatTable(['setting', 'value', 'origin'], rows));
}

function formatValue(value: unknown): string {
  return value === undefined ? '' : String(value);
}

/** Returns the exit code. */
async function serveUntilSignal(sources: SettingsSources, version: string): Promise<number> {
  const settings = loadSettings(sources);
  // Whoever read them may be gone; the server is not there for them.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  // The first process of a container has no default action for signals: this one hears them from the beginning.
  let server: Server | undefined;
  const exit = (code: number): never => {
    server?.kill();
    process.exit(code);
  };
  const end = Promise.race([nextSignal(exit).then(() => 0), watchFaults(logFault).then(() => 1)]);
  void end.then(() => {
    // Whatever holds up the end, a repository or an exporter that hangs, the process does not outlive its time.
    const limitMs = settings.lameDuckMs + settings.drainTimeoutMs + CLOSING_LIMIT_MS;
    setTimeout(() => {
      logFault(`the server has not ended ${limitMs} ms after it was told to: what is left is killed`);
      exit(1);
    }, limitMs).unref();
  });
  const { startServer } = await import('../gateway/main.ts');
  server = await startServer(settings, { env: process.env, version });
  const endedEarly = await Promise.race([server.loaded, end]);
  if (endedEarly === undefined) process.stdout.write(describeServer(server));
  const exitCode = await end;
  await server.stop();
  // What still holds the event loop is nothing that anyone waits for, such as the connection of an exporter.
  return exit(exitCode);
}

/** After `lameDuckMs` and `drainTimeoutMs`. */
const CLOSING_LIMIT_MS = 450;

function logFault(text: string, cause?: unknown): void {
  if (diagnostics.notice.active) diagnostics.notice.publish({ level: 'error', text, cause });
  // Nothing logs yet, or any more.
  else process.stderr.write(`error: ${text}${cause instanceof Error ? `: ${cause.stack}` : ''}\n`);
}

/** Resolves with the first SIGTERM or SIGINT; a second one ends the process by `exit`. */
function nextSignal(exit: (code: number) => never): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isStopping = false;
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        if (isStopping) exit(128 + constants.signals[name]);
        isStopping = true;
        resolve(name);
      });
    }
  });
}

/** A line for each model version, and one with the addresses, which says that it is ready. */
function describeServer(server: Server): string {
  const models = server.models().map((model) => `${describeModel(model)}\n`);
  const { host, grpcPort, httpPort, adminPort } = server;
  const ports = { grpc: grpcPort, http: httpPort, ...(adminPort !== undefined && { admin: adminPort }) };
  const addresses = Object.entries(ports).map(([name, port]) => `${name} ${formatAddress(host, port)}`);
  return `${models.join('')}tensorgate ready: ${addresses.join(', ')}\n`;
}

function describeModel({ name, version, state, detail }: ModelSummary): string {
  const subject = version === '' ? name : `${name} version ${version}`;
  return toOneLine(state === 'READY' ? `${subject}: ${detail}` : `${subject}: ${state}: ${detail}`);
}

function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
