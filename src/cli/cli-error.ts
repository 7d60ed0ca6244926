/** What a command cannot do, as one line for stderr; the exit code is then 1. Whatever else is thrown is a fault of ours. */
export class CliError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
  }
}
