import { Command, CommanderError } from 'commander';
import { addBench } from './bench-command.ts';
import { CliError } from './cli-error.ts';
import { addClient } from './client-command.ts';
import type { CommandContext } from './command-context.ts';
import { addCompletion } from './completion-command.ts';
import { addCompress } from './compress-command.ts';
import { addDoctor } from './doctor-command.ts';
import { addExplain } from './explain-command.ts';
import { addGolden } from './golden-command.ts';
import { layOutHelp } from './help-layout.ts';
import { addInfer } from './infer-command.ts';
import { addModels } from './models-command.ts';
import { addRollout } from './rollout-command.ts';
import { addServe } from './serve-command.ts';
import { toOneLine } from './terminal-text.ts';

/** In the order of the help. Each command loads its own code when it runs, so that `--help` is fast. */
const COMMANDS: readonly ((program: Command, context: CommandContext) => void)[] = [
  addServe,
  addDoctor,
  addExplain,
  addInfer,
  addBench,
  addCompress,
  addGolden,
  addModels,
  addRollout,
  addClient,
  addCompletion,
];

/**
 * Runs one command line.
 * @returns the exit code: 0 success, 1 failure, 2 wrong command line
 */
export async function runProgram(args: readonly string[], version: string): Promise<number> {
  let exitCode = 0;
  const exit = (code: number): void => {
    exitCode = code;
  };
  const program = new Command('tensorgate')
    .description('A gRPC inference gateway for ONNX models.')
    .version(version)
    // Makes `infer --version 2` the version of a model.
    .enablePositionalOptions()
    .helpCommand(false)
    .exitOverride();
  layOutHelp(program);
  for (const add of COMMANDS) add(program, { version, typed: `tensorgate ${args.join(' ')}`, exit });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // commander has already printed the problem; 0 is the end of --help and --version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (!(error instanceof CliError)) throw error;
    for (const line of error.message.split('\n')) process.stderr.write(`error: ${toOneLine(line)}\n`);
    return 1;
  }
}
