/** The default of an input that has an initializer in the model. */

import type { SessionTensor } from '../../../worker/protocol.ts';
import type { DefaultValue } from './row-axis.ts';

export function defaultOf({ initializer }: SessionTensor): DefaultValue | undefined {
  return initializer && { shape: initializer.shape, data: Buffer.from(initializer.data, 'base64') };
}
