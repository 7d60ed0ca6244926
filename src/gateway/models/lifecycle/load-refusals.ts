/** The errors of loads and unloads. Clients of Triton match on the texts of `notFound` and `loadFailed`. */

import { suggestion } from '../../../suggestion.ts';
import { InferError } from '../../errors.ts';
import { ModelConfigError } from '../../repository/config/model-config.ts';
import { DiskTimeout } from '../../repository/disk.ts';

/** @param known names of models; the text suggests the nearest one */
export function notFound(name: string, known: readonly string[] = []): InferError {
  const text = `failed to load '${name}', failed to poll from model repository${suggestion(name, known)}`;
  return new InferError('model_not_found', text);
}

export function loadFailed(name: string, problems: readonly string[]): InferError {
  return new InferError('load_failed', `load failed for model '${name}': ${problems.join('\n')}`);
}

export function ending(): InferError {
  return new InferError('draining', 'the server ends: it loads and unloads nothing more');
}

/** Turns a model that cannot be read or used into `load_failed`; every other error stays what it is. */
export function asLoadFailure(name: string): (error: unknown) => never {
  return (error) => {
    if (!isLoadProblem(error)) throw error;
    throw new InferError('load_failed', `failed to load '${name}': ${error.message}`, { cause: error });
  };
}

export function isLoadProblem(error: unknown): error is Error {
  return error instanceof ModelConfigError || error instanceof DiskTimeout;
}
