/** `schema/config.schema.json`, made from the schema of the configuration. A test holds the two together. */

import { z } from 'zod';
import { MODEL_CONFIG } from './model-config.ts';

export function modelConfigSchema(): object {
  return {
    ...z.toJSONSchema(MODEL_CONFIG, { io: 'input' }),
    title: 'config.yaml',
    description: "A model's configuration for tensorgate: Triton's fields, and a section of its own.",
  };
}
