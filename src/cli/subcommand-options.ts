import type { Command } from 'commander';

/** Hands options on that stand before a subcommand which has them too: `models --url A stats` is `models stats --url A`. */
export function passOptionsOn(command: Command, subcommand: Command): void {
  for (const option of subcommand.options) {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) !== 'cli') continue;
    subcommand.setOptionValueWithSource(name, command.getOptionValue(name), 'cli');
  }
}
