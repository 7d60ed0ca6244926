import type { Command } from 'commander';
import { suggestion } from '../suggestion.ts';

/** For a command that runs without a subcommand: commander would only count the arguments. */
export function refuseUnknownSubcommand(command: Command): void {
  const [unknown] = command.args;
  if (unknown === undefined) return;
  const known = command.commands.map((subcommand) => subcommand.name());
  command.error(`error: unknown command '${command.name()} ${unknown}'${suggestion(unknown, known)}`, { exitCode: 2 });
}
