import path from 'node:path';
import { diagnostics } from '../../ops/diagnostics.ts';
import { looseProblem, type RepositoryNames } from '../../repository/model-repository.ts';

/** Warns of files and folders in the root of the repository that are not models. */
export function reportStrays(repository: string, { foreign, loose }: RepositoryNames): void {
  for (const name of foreign) warn(`${path.join(repository, name)} is ignored: it is not a model`);
  for (const name of loose) warn(looseProblem(repository, name));
}

function warn(text: string): void {
  diagnostics.notice.publish({ level: 'warn', text });
}
