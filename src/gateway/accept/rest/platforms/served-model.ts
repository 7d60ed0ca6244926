import { InferError } from '../../../errors.ts';
import type { ControlApi } from '../../control-service.ts';

const SHOWN = 5;
/** Parts of an exported folder have names with a colon. */
const PART = /:/;

/**
 * The model of a platform's call: the named one, otherwise the only one that is ready.
 * @param how says where the name belongs
 * @throws InferError `invalid_request` where several are ready, `model_not_found` where none is
 */
export async function servedModel(
  control: Pick<ControlApi, 'repositoryIndex'>,
  named: string | undefined,
  how: string,
): Promise<string> {
  if (named !== undefined && named !== '') return named;
  const names = [...new Set((await control.repositoryIndex(true)).map(({ name }) => name))];
  const whole = names.filter((name) => !PART.test(name));
  const [only, ...others] = whole.length > 0 ? whole : names;
  if (only === undefined) throw new InferError('model_not_found', 'no model is ready', { field: 'model' });
  if (others.length === 0) return only;
  const shown = [only, ...others].slice(0, SHOWN).join(', ');
  const text = `${others.length + 1} models are ready (${shown}${others.length >= SHOWN ? ', …' : ''}): name one in ${how}`;
  throw new InferError('invalid_request', text, { field: 'model' });
}
