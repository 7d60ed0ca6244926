import { z } from 'zod';
import { SETTINGS_SCHEMA } from './settings.ts';

const { required: _, ...optional } = z.toJSONSchema(SETTINGS_SCHEMA, { io: 'input' });

/**
 * `tensorgate.yaml` as a JSON Schema: nothing has to be in it, because flags and variables count too. In the package this is a
 * constant (`deploy/package/bundle.ts`), since to make it takes milliseconds of each start.
 */
export const SETTINGS_JSON_SCHEMA: typeof optional = optional;
