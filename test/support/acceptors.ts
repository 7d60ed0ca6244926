/** How many acceptors the servers of this project have (`vitest.config.ts`): 1 is the owner's own thread. */
export const ACCEPTORS = Number(process.env['TENSORGATE_ACCEPTORS'] ?? '1');
