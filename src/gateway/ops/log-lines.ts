/** Lines on stderr, for stdout is data: as JSON, or as text for people. */

import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel, LogSettings } from './log-settings.ts';
import { formatLine } from './log-text.ts';

/** Lines that stderr does not take are kept up to this, in characters, and then dropped. */
const MAX_UNWRITTEN = 1024 * 1024;

export class LogLines {
  readonly settings: LogSettings;
  readonly #stderr: DestinationStream;
  readonly #now: Logger;
  readonly #soon: Logger;
  #waiting: string[] = [];

  /** @param settings are asked at each line. */
  constructor(settings: LogSettings, stderr: DestinationStream = openStderr()) {
    this.settings = settings;
    this.#stderr = stderr;
    this.#now = this.#loggerTo((line) => stderr.write(line));
    this.#soon = this.#loggerTo((line) => this.#queue(line));
  }

  /** Writes a line at once if its level is logged: the last one before an exit is not lost. */
  write(level: LogLevel, fields: object, text: string): void {
    if (this.settings.isEnabled(level)) this.#now[level](fields, text);
  }

  /** Writes a line whatever levels are logged, unless nothing is. */
  always(fields: object, text: string): void {
    if (!this.settings.isSilent) this.#now.info(fields, text);
  }

  /** As `always`, but with all others of this turn of the event loop: one write for many lines. */
  soon(fields: object, text: string): void {
    if (!this.settings.isSilent) this.#soon.info(fields, text);
  }

  /** Writes what `soon` has not written yet. */
  flush(): void {
    const lines = this.#waiting;
    if (lines.length === 0) return;
    this.#waiting = [];
    this.#stderr.write(lines.join(''));
  }

  #queue(line: string): void {
    if (this.#waiting.push(line) === 1) setImmediate(() => this.flush());
  }

  #loggerTo(write: (line: string) => void): Logger {
    return pino(
      {
        level: 'trace',
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (level) => ({ level }) },
      },
      { write: (line) => write(this.settings.format === 'json' ? line : formatLine(line)) },
    );
  }
}

function openStderr(): DestinationStream {
  const stderr = pino.destination({ dest: 2, sync: true, maxLength: MAX_UNWRITTEN });
  // A log that no one reads any more, or on a full disk, is no reason to end.
  stderr.on('error', () => {});
  return stderr;
}
