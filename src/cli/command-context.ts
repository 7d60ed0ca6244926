/** The command line that runs, as its commands see it. */
export interface CommandContext {
  readonly version: string;
  /** The command line as it was typed, for reports. */
  readonly typed: string;
  readonly exit: (code: number) => void;
}
