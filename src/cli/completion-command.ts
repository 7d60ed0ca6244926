import { Argument, type Command } from 'commander';
import type { CommandContext } from './command-context.ts';

const HELP = `
  bash:  source <(tensorgate completion bash)
  zsh:   source <(tensorgate completion zsh)     # after compinit
  fish:  tensorgate completion fish | source

Put the line into ~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish.`;

export function addCompletion(program: Command, { exit }: CommandContext): void {
  program
    .command('completion')
    .description('Print a script that completes commands, options and their values in a shell.')
    .addArgument(new Argument('<shell>', 'shell that runs the script').choices(['bash', 'zsh', 'fish']))
    .addHelpText('after', HELP)
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScript } = await import('./completion-script.ts');
      process.stdout.write(completionScript(program, shell));
      exit(0);
    });
}
