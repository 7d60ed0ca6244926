/** Whether too much happened for it to be chance: what keeps one slow request of fifty from ending a rollout. */

/** Probability below which an observation counts as beyond chance. Small, because there are many evaluations. */
const SIGNIFICANCE = 0.001;

/** A term of the sum that adds nothing to its digits any more. */
const NEGLIGIBLE = 1e-12;

/**
 * Whether `count` of `total` is more than a share of at most `rate` explains: the probability of that many or more is below
 * 0.001 (one-sided exact binomial test, Clopper and Pearson 1934).
 * @param rate from 0, at which one is too many, to 1
 */
export function exceeds(count: number, total: number, rate: number): boolean {
  if (count === 0 || rate >= 1 || count <= total * rate) return false;
  if (rate <= 0) return true;
  let term = Math.exp(logBinomial(total, count) + count * Math.log(rate) + (total - count) * Math.log1p(-rate));
  let tail = 0;
  // Above the mean, terms only fall.
  for (let at = count; at <= total && term > NEGLIGIBLE * SIGNIFICANCE; at++) {
    tail += term;
    if (tail >= SIGNIFICANCE) return false;
    term *= ((total - at) / (at + 1)) * (rate / (1 - rate));
  }
  return tail < SIGNIFICANCE;
}

/** The logarithm of the number of ways to choose `count` of `total`. */
function logBinomial(total: number, count: number): number {
  return logFactorial(total) - logFactorial(count) - logFactorial(total - count);
}

/** Stirling's series, which from 16 on is exact to the digits of a double; below, the product itself. */
function logFactorial(n: number): number {
  if (n < 16) {
    let product = 1;
    for (let factor = 2; factor <= n; factor++) product *= factor;
    return Math.log(product);
  }
  return n * Math.log(n) - n + Math.log(2 * Math.PI * n) / 2 + 1 / (12 * n) - 1 / (360 * n ** 3) + 1 / (1260 * n ** 5);
}
