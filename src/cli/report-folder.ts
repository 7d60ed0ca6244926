import fs from 'node:fs/promises';
import { CliError } from './cli-error.ts';

/**
 * Looks at the folder of `--report` before anything is measured.
 * @param file that the folder of an earlier report has
 * @throws CliError where other files lie there: a report only ever takes the place of one
 */
export async function checkReportFolder(directory: string, file: string): Promise<void> {
  const names = await fs.readdir(directory).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw new CliError(`--report ${directory}: ${error.message}`, { cause: error });
  });
  if (names.length === 0 || names.includes(file)) return;
  throw new CliError(
    `--report ${directory}: it contains other files: name a new folder, or the folder of an earlier report`,
  );
}
