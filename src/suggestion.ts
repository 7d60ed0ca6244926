/** Suggests the nearest known name for an unknown one. */

/** Longer keys are near to nothing, and comparing takes time in proportion to the length of both. */
const MAX_COMPARED = 100;

/** `; did you mean 'x'?` for the nearest of `known`, or their list where none is near. */
export function suggestion(key: string, known: readonly string[]): string {
  const near = (key.length > MAX_COMPARED ? [] : known)
    .map((candidate) => ({ candidate, distance: editDistance(key, candidate) }))
    .sort((a, b) => a.distance - b.distance)[0];
  // Short names that have nothing in common are not near.
  const farthest = Math.min(Math.max(2, key.length / 3), key.length - 1);
  if (near !== undefined && near.distance <= farthest) return `; did you mean '${near.candidate}'?`;
  return known.length === 0 ? '' : `; known are ${known.join(', ')}`;
}

/** Levenshtein's distance: insertions, deletions and replacements that make one text the other. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
