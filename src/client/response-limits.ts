import { UNLIMITED_FIELDS, type WireLimits } from '../wire/limits.ts';

/** Limits of an answer. A client picks its server, so they leave room for any model and are no defence against hostile servers. */
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
