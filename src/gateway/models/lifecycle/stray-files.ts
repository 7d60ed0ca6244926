import path from 'node:path';
import { diagnostics } from '../../ops/diagnostics.ts';
import type { RepositoryNames } from '../../repository/model-repository.ts';

/** Warns of files and folders in the root of the repository that are not models. */
export function reportStrays(repository: string, { foreign, loose }: RepositoryNames): void {
  for (const name of foreign) warn(`${path.join(repository, name)} is ignored: it is not a model`);
  for (const name of loose) {
    const place = path.join(repository, path.basename(name, '.onnx'), '1', 'model.onnx');
    warn(`${path.join(repository, name)} is not served: move it to ${place}`);
  }
}

function warn(text: string): void {
  diagnostics.notice.publish({ level: 'warn', text });
}
