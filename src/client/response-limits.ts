import { UNLIMITED_FIELDS, type WireLimits } from '../wire/limits.ts';

/** What an answer may hold. A client picks its server, so this is room for any model, not a defence against hostile ones. */
export const RESPONSE_LIMITS: WireLimits = {
  maxFields: UNLIMITED_FIELDS,
  maxInputs: 0,
  maxOutputs: 65_536,
  maxRank: 64,
  maxParameters: 65_536,
  maxParameterBytes: 16 * 1024 * 1024,
  maxNameBytes: 65_536,
  maxIdBytes: 65_536,
};
