/** The command line that runs, as its commands see it. */
export interface CommandContext {
  readonly version: string;
  /** The command line as it was typed, for reports. */
  readonly typed: string;
  /** Reports the exit code of the command. */
  readonly exit: (code: number) => void;
}
