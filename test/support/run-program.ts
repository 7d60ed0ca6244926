/** Other people's programs, run to their end. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly input?: string;
  /** Beside the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Resolves however the program ends. It ends with the tests at the latest. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { input = '', env = {}, cwd }: ProgramOptions = {},
): Promise<Ended> {
  const child = spawn(program, args, { env: { ...process.env, ...env }, cwd });
  const killWithTests = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithTests);
  // A program that reads nothing may have ended before.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const closed = once(child, 'close').finally(() => process.off('exit', killWithTests));
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

/** What the program printed on stdout. @throws Error with all that it printed, unless it ended with 0. */
export async function output(program: string, args: readonly string[], options?: ProgramOptions): Promise<string> {
  const { code, stdout, stderr } = await runProgram(program, args, options);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${stdout}\n${stderr}`);
  return stdout;
}
