/**
 * Divides a capacity among claimants: equal parts, but none gets more than it asks for, and what one leaves goes to the
 * others (max-min fairness).
 */
export function fairShares(capacity: number, asked: readonly number[]): number[] {
  const shares = asked.map(() => 0);
  let left = capacity;
  let open = asked.map((_, index) => index);
  while (open.length > 0) {
    const part = left / open.length;
    const modest = open.filter((index) => (asked[index] ?? 0) <= part);
    if (modest.length === 0) {
      for (const index of open) shares[index] = part;
      return shares;
    }
    for (const index of modest) {
      shares[index] = asked[index] ?? 0;
      left -= asked[index] ?? 0;
    }
    open = open.filter((index) => !modest.includes(index));
  }
  return shares;
}
