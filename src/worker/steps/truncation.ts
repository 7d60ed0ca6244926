/** How many tokens of a pair of texts are kept: the strategy `longest_first` of Hugging Face's tokenizers. */

/**
 * @param most tokens of both together
 * @returns tokens to keep of each
 */
export function keptOfPair(first: number, second: number, most: number): readonly [number, number] {
  if (first + second <= most) return [first, second];
  const [shorter, longer] = first > second ? [second, first] : [first, second];
  const rest = Math.max(shorter, most - shorter);
  const [short, long] =
    shorter > most || shorter + rest > most
      ? [Math.floor(most / 2), Math.ceil(most / 2)]
      : [shorter, Math.min(longer, rest)];
  return first > second ? [long, short] : [short, long];
}
