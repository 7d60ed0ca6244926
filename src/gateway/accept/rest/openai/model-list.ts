/** `/v1/models` (OpenAI: API reference, "List models"): the models that are ready. */

import { InferError } from '../../../errors.ts';
import type { ControlApi } from '../../control-service.ts';
import { ok, type RestAnswer } from '../rest-route.ts';

/** Seconds since the epoch: when this process began. A model's own date is not known. */
const CREATED = Math.floor(performance.timeOrigin / 1_000);

interface OpenAiModel {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
}

export async function listModels(control: Pick<ControlApi, 'repositoryIndex'>): Promise<RestAnswer> {
  return ok({ object: 'list', data: (await readyNames(control)).map(modelOf) });
}

/** @throws InferError `model_not_found` */
export async function retrieveModel(control: Pick<ControlApi, 'repositoryIndex'>, name: string): Promise<RestAnswer> {
  if ((await readyNames(control)).includes(name)) return ok(modelOf(name));
  throw new InferError('model_not_found', `model '${name}' is not ready, or does not exist`, { field: 'model' });
}

function modelOf(id: string): OpenAiModel {
  return { id, object: 'model', created: CREATED, owned_by: 'tensorgate' };
}

async function readyNames(control: Pick<ControlApi, 'repositoryIndex'>): Promise<readonly string[]> {
  return [...new Set((await control.repositoryIndex(true)).map(({ name }) => name))];
}
