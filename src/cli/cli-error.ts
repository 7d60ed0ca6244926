/** A command cannot do its work: one line for stderr, exit code 1. Any other error that is thrown is a bug of ours. */
export class CliError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
  }
}
