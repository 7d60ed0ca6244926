import { readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import { fitSettings } from '../gateway/ops/capacity.ts';
import { type DiagnosedSettings, diagnose, type Finding } from '../gateway/ops/diagnosis/diagnose.ts';
import { readCapacity } from '../gateway/ops/machine-capacity.ts';
import { SettingsError } from '../gateway/ops/settings-error.ts';
import { describeSettings, givenSettings, loadSettings } from '../gateway/ops/settings-loading.ts';
import type { SettingsSources } from '../gateway/ops/settings-sources.ts';
import { isSupportedNode } from './node-version.ts';
import { toOneLine } from './terminal-text.ts';

export interface DoctorFlags {
  /** A file of settings. */
  readonly config?: string;
  readonly json?: boolean;
}

/**
 * Checks the machine, the settings and the models of the repository as `serve` with the same flags would meet them, and
 * prints a line for each thing found. Returns the exit code: 0 where serving would work, 1 where it would not.
 */
export async function doctor(given: SettingsSources['flags'], flags: DoctorFlags): Promise<number> {
  const findings: Finding[] = [];
  for await (const finding of examine(given, flags)) {
    findings.push(finding);
    if (flags.json !== true) process.stdout.write(formatFinding(finding));
  }
  const failures = findings.filter(({ level }) => level === 'fail').length;
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ serves: failures === 0, findings }, undefined, 2)}\n`);
  } else {
    process.stdout.write(`${formatVerdict(failures)}\n`);
  }
  return failures === 0 ? 0 : 1;
}

async function* examine(given: SettingsSources['flags'], { config }: DoctorFlags): AsyncGenerator<Finding> {
  yield checkNode();
  const sources: SettingsSources = {
    flags: given,
    env: process.env,
    cwd: process.cwd(),
    ...(config !== undefined && { file: config }),
  };
  let settings: DiagnosedSettings;
  try {
    settings = readSettings(sources);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    for (const text of error.problems) yield { level: 'fail', subject: 'settings', text };
    return;
  }
  yield { level: 'ok', subject: 'settings', text: describeOrigins(sources) };
  const fitted = fitSettings(settings, givenSettings(sources), await readCapacity(settings));
  for (const finding of fitted.findings) yield { level: finding.advice === undefined ? 'ok' : 'warn', ...finding };
  yield* diagnose(fitted.settings, process.env);
}

function checkNode(): Finding {
  const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly engines: { readonly node: string };
  };
  const text = `${process.versions.node} (supported are ${engines.node})`;
  const level = isSupportedNode(process.versions.node, engines.node) ? 'ok' : 'fail';
  return { level, subject: 'node', text };
}

/** A server has to have a repository; a machine can be looked at without. */
function readSettings(sources: SettingsSources): DiagnosedSettings {
  const isGiven = describeSettings(sources).some(({ key, value }) => key === 'modelRepository' && value !== undefined);
  if (isGiven) return loadSettings(sources);
  const settings = loadSettings({ ...sources, flags: { ...sources.flags, modelRepository: '.' } });
  return { ...settings, modelRepository: undefined };
}

/** Such as `valid; 2 differ from the defaults: grpcPort (--grpc-port), host (tensorgate.yaml)`. */
function describeOrigins(sources: SettingsSources): string {
  const said = describeSettings(sources).filter(({ origin }) => origin !== 'default');
  if (said.length === 0) return 'valid, all defaults';
  return `valid; given are ${said.map(({ key, origin }) => `${key} (${origin})`).join(', ')}`;
}

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

function formatFinding({ level, subject, text, advice }: Finding): string {
  const rest = advice === undefined ? '' : `; to do: ${advice}`;
  return `${styleText(COLOURS[level], level.padEnd(4))}  ${toOneLine(`${subject}: ${text}${rest}`)}\n`;
}

function formatVerdict(failures: number): string {
  if (failures === 0) return 'tensorgate would serve here';
  return `tensorgate would not serve here: ${failures} ${failures === 1 ? 'check' : 'checks'} failed`;
}
