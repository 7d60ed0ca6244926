import { styleText } from 'node:util';
import {
  checkRepository,
  type RepositoryFinding,
  type RepositoryReport,
} from '../gateway/ops/diagnosis/repository-check.ts';
import { RepositoryError } from '../gateway/repository/model-repository.ts';
import { openRepository } from '../gateway/repository/opened-repository.ts';
import { CliError } from './cli-error.ts';
import { toOneLine } from './terminal-text.ts';

export interface ValidateFlags {
  readonly json?: boolean;
}

/**
 * Prints what is wrong with a model or a repository. Returns the exit code: 0 where all of it would be served, if with warnings.
 * @throws CliError where there is no such path, or it is not clear which model is meant
 */
export async function validate(what: string, flags: ValidateFlags): Promise<number> {
  const { findings, ...counts } = await check(what);
  const errors = findings.filter(({ level }) => level === 'error').length;
  const warnings = findings.length - errors;
  if (flags.json === true) {
    const report = { valid: errors === 0, ...counts, errors, warnings, findings };
    process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
  } else {
    for (const finding of findings) process.stdout.write(formatFinding(finding));
    const looked = `${count(counts.models, 'model')}, ${count(counts.versions, 'version')}`;
    process.stdout.write(`${looked}: ${count(errors, 'error')}, ${count(warnings, 'warning')}\n`);
  }
  return errors === 0 ? 0 : 1;
}

async function check(what: string): Promise<RepositoryReport> {
  try {
    const repository = await openRepository(what);
    try {
      return await checkRepository(repository.directory, process.env);
    } finally {
      await repository.close();
    }
  } catch (error) {
    if (error instanceof RepositoryError) throw new CliError(error.message, { cause: error });
    throw error;
  }
}

const COLOURS = { warning: 'yellow', error: 'red' } as const;

function formatFinding({ level, model, version, text }: RepositoryFinding): string {
  const ofModel = version === undefined ? `model ${model}: ` : `model ${model} version ${version}: `;
  const subject = model === undefined ? '' : ofModel;
  return `${styleText(COLOURS[level], level.padEnd(7))}  ${toOneLine(`${subject}${text}`)}\n`;
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`;
}
