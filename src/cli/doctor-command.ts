import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import type { DoctorFlags } from './doctor.ts';
import { addSettingOptions, configOption, givenSettings } from './setting-options.ts';

export function addDoctor(program: Command, { exit }: CommandContext): void {
  const doctorCommand = program
    .command('doctor')
    .description(
      'Check whether `serve` with the same options would work on this machine, and how to fix what would fail.',
    )
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (flags: DoctorFlags, command: Command) => {
      const { doctor } = await import('./doctor.ts');
      exit(await doctor(givenSettings(command), flags));
    });
  addSettingOptions(doctorCommand);
}
