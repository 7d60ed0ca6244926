/** Which lines are logged and in what form, as it may be changed while the server runs: Triton's log settings. */

import { InferError } from '../errors.ts';
import type { Settings } from './settings.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';

type LogFormat = Settings['logFormat'];
type Value = boolean | number | string;

/** From the most severe one. */
const LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug', 'trace'];

/** Triton's switches, one for each level above its verbose ones. */
const SWITCHES: ReadonlyMap<string, LogLevel> = new Map([
  ['log_info', 'info'],
  ['log_warning', 'warn'],
  ['log_error', 'error'],
]);

const MAX_VERBOSE = 2 ** 32 - 1;
/** Levels by Triton's `log_verbose_level`: 1 logs refused calls, 2 everything. */
const VERBOSE: readonly LogLevel[] = ['debug', 'trace'];

/** `default` is the form that the server was started with; `ISO8601` are lines for eyes, which begin with such a time. */
const FORMATS = ['default', 'ISO8601', 'json', 'text'] as const;
type FormatName = (typeof FORMATS)[number];

const KEYS = ['log_file', ...SWITCHES.keys(), 'log_verbose_level', 'log_format'];

export class LogSettings {
  readonly #startFormat: LogFormat;
  #enabled: ReadonlySet<LogLevel>;
  #formatName: FormatName = 'default';

  constructor({ logLevel, logFormat }: Pick<Settings, 'logLevel' | 'logFormat'>) {
    this.#startFormat = logFormat;
    // `fatal` and `silent` log none of our levels.
    this.#enabled = new Set(LEVELS.slice(0, (LEVELS as readonly string[]).indexOf(logLevel) + 1));
  }

  get format(): LogFormat {
    if (this.#formatName === 'default') return this.#startFormat;
    return this.#formatName === 'json' ? 'json' : 'text';
  }

  /** Nothing is logged at all. */
  get isSilent(): boolean {
    return this.#enabled.size === 0;
  }

  isEnabled(level: LogLevel): boolean {
    return this.#enabled.has(level);
  }

  /** By Triton's keys. */
  read(): Readonly<Record<string, Value>> {
    return {
      log_file: '',
      ...Object.fromEntries([...SWITCHES].map(([key, level]) => [key, this.#enabled.has(level)])),
      log_verbose_level: VERBOSE.filter((level) => this.#enabled.has(level)).length,
      log_format: this.#formatName,
    };
  }

  /** All of the changes, or none. @throws InferError `invalid_request` or `unimplemented` */
  change(changes: ReadonlyMap<string, Value>): void {
    const enabled = new Set(this.#enabled);
    let formatName = this.#formatName;
    for (const [key, value] of changes) {
      const level = SWITCHES.get(key);
      if (level !== undefined) {
        if (typeof value !== 'boolean') throw invalid(`expect boolean for '${key}'`);
        if (value) enabled.add(level);
        else enabled.delete(level);
      } else if (key === 'log_verbose_level') {
        if (typeof value !== 'number') throw invalid(`expect int32 for '${key}'`);
        if (!Number.isInteger(value) || value < 0 || value > MAX_VERBOSE) {
          throw invalid(`expect a whole number from 0 to ${MAX_VERBOSE} for '${key}', got: ${value}`);
        }
        for (const [index, verbose] of VERBOSE.entries()) {
          if (index < value) enabled.add(verbose);
          else enabled.delete(verbose);
        }
      } else if (key === 'log_format') formatName = formatOf(value);
      else if (key === 'log_file') {
        throw new InferError('unimplemented', 'log file location can not be updated through network protocol');
      } else throw invalid(`there is no log setting '${key}': known are ${KEYS.join(', ')}`);
    }
    this.#enabled = enabled;
    this.#formatName = formatName;
  }
}

function formatOf(value: Value): FormatName {
  const format = FORMATS.find((name) => name === value);
  if (format !== undefined) return format;
  throw invalid(`invalid argument for log_format, got: ${value}; expected one of ${FORMATS.join(', ')}`);
}

function invalid(text: string): InferError {
  return new InferError('invalid_request', text);
}
