import { readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import { fitSettings } from '../gateway/ops/capacity.ts';
import { type DiagnosedSettings, diagnose, type Finding } from '../gateway/ops/diagnosis/diagnose.ts';
import { readCapacity } from '../gateway/ops/machine-capacity.ts';
import { SettingsError } from '../gateway/ops/settings-error.ts';
import { completeSettings, describeSettings } from '../gateway/ops/settings-loading.ts';
import { type GivenSettings, readSources, type SettingsSources } from '../gateway/ops/settings-sources.ts';
import { isSupportedNode } from './node-version.ts';
import { type ConfigFlags, settingsSources } from './setting-options.ts';
import { toOneLine } from './terminal-text.ts';

export interface DoctorFlags extends ConfigFlags {
  readonly json?: boolean;
}

/**
 * Checks the machine, the settings and the models of the repository as `serve` with the same flags would meet them, and
 * prints a line for each thing found. Returns the exit code: 0 where serving would work, 1 where it would not.
 */
export async function doctor(given: SettingsSources['flags'], flags: DoctorFlags): Promise<number> {
  const findings: Finding[] = [];
  for await (const finding of examine(settingsSources(given, flags, process.env))) {
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

async function* examine(sources: SettingsSources): AsyncGenerator<Finding> {
  yield checkNode();
  let given: GivenSettings;
  let settings: DiagnosedSettings;
  try {
    given = readSources(sources);
    settings = settingsToDiagnose(given);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    for (const text of error.problems) yield { level: 'fail', subject: 'settings', text };
    return;
  }
  yield { level: 'ok', subject: 'settings', text: describeOrigins(given) };
  const fitted = fitSettings(settings, given, await readCapacity(settings));
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
function settingsToDiagnose(given: GivenSettings): DiagnosedSettings {
  if (given.has('modelRepository')) return completeSettings(given);
  const repository = { value: '.', origin: 'default' };
  return { ...completeSettings(new Map([...given, ['modelRepository', repository]])), modelRepository: undefined };
}

/** Such as `valid; 2 differ from the defaults: grpcPort (--grpc-port), host (tensorgate.yaml)`. */
function describeOrigins(given: GivenSettings): string {
  const said = describeSettings(given).filter(({ origin }) => origin !== 'default');
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
