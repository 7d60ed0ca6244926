/** How much slower this machine lets a table grow than the one on which bounds of CPU time were set. */

const KEYS = 500_000;
const REPEATS = 4;
/** What it took there, in milliseconds. Virtual machines of one kind take twice as long on some days. */
const USUAL_MS = 220;

/** @returns at least 1 */
export function tableSlowness(): number {
  return Math.max(1, Math.min(...Array.from({ length: REPEATS }, growthMs)) / USUAL_MS);
}

/** CPU time of an object that gets so many keys, one by one. */
function growthMs(): number {
  const before = process.cpuUsage();
  const table: Record<string, number> = Object.create(null);
  for (let index = 0; index < KEYS; index++) table[`key ${index}`] = index;
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
