import fs from 'node:fs';
import path from 'node:path';
import { sourceOf } from '../compare/candidates.ts';
import { Contender } from '../compare/contender.ts';
import { recordGolden, writeGolden } from '../compare/golden-record.ts';
import { ofOneShape, spread } from '../compare/sample.ts';
import { findTarget, requireVersions } from '../compare/target.ts';
import { GOLDEN_DIRECTORY, MAX_GOLDEN_ROWS } from '../gateway/repository/golden.ts';
import { MAILBOX_DIRECTORY } from '../mailbox-directory.ts';
import { CliError } from './cli-error.ts';
import { dataModelOf, expected } from './compress-shared.ts';
import { openDataset } from './data/dataset.ts';
import { Interruption } from './interruption.ts';

export interface GoldenFlags {
  readonly modelRepository: string;
  readonly version?: string;
  readonly data: string;
  readonly rows: number;
  readonly replace?: boolean;
}

/**
 * Keeps what a version answers today beside it, so that it serves only where it still does. Returns the exit code.
 * @throws CliError where it cannot be done
 */
export async function recordGoldenRows(name: string, flags: GoldenFlags, command: string): Promise<number> {
  using interruption = new Interruption();
  let contender: Contender | undefined;
  const close = async (): Promise<void> => contender?.[Symbol.asyncDispose]();
  interruption.signal.addEventListener('abort', () => void close());
  try {
    if (flags.rows > MAX_GOLDEN_ROWS) throw new CliError(`--rows ${flags.rows}: at most ${MAX_GOLDEN_ROWS} are kept`);
    const target = await findTarget(flags.modelRepository, name, flags.version);
    requireVersions(target);
    const directory = target.versionDirectory;
    if (fs.existsSync(path.join(directory, GOLDEN_DIRECTORY)) && flags.replace !== true) {
      throw new CliError(`${directory} has golden inputs: give --replace to put others in their place`);
    }
    const environment = { env: process.env, mailboxDirectory: MAILBOX_DIRECTORY };
    contender = await Contender.open(
      await sourceOf('base', `version ${target.version}`, target.modelPath),
      target,
      environment,
    );
    const model = await dataModelOf(contender, target);
    const dataset = spread(await openDataset(flags.data, model, false), flags.rows);
    const read = await Promise.all(Array.from({ length: dataset.count }, (_, index) => dataset.read(index)));
    const samples = ofOneShape(read);
    const files = await recordGolden(contender, samples, { madeBy: command });
    interruption.signal.throwIfAborted();
    await writeGolden(directory, files);
    process.stdout.write(`${samples.length} golden rows in ${path.join(directory, GOLDEN_DIRECTORY)}\n`);
    return 0;
  } catch (error) {
    if (interruption.exitCode === undefined) throw expected(error);
    process.stderr.write('interrupted: nothing was written\n');
    return interruption.exitCode;
  } finally {
    await close();
  }
}
