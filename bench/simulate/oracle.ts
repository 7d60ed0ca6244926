/**
 * The clairvoyant optimum: the most requests that one server can answer in time, knowing all arrivals in advance.
 *
 * All requests have the same deadline after their arrival, so some optimal schedule runs batches of consecutive accepted
 * requests, in the order of arrival. F[i][k] is the earliest moment at which the server is free after the first i requests, at
 * least k of them in time. Request i is either dropped, which gives F[i-1][k], or it is the last of a batch of some size b.
 * Such a batch gives max(F[i-b][k-b], arrival of i) + l(b), if that is in time for its first request. F[i][k] is the least.
 *
 * F grows with k. Among the k whose server is free before the next arrival, only the largest matters. No batch may end later
 * than the deadline of its first request. So each row keeps a band as wide as a server can answer within one deadline.
 */

/** @param runMs milliseconds of a batch by its rows, growing; index 0 is unused. */
export function optimum(arrivals: Float64Array, runMs: Float64Array, sloMs: number): number {
  const count = arrivals.length;
  const maxRows = runMs.length - 1;
  const rows = Array.from({ length: maxRows + 1 }, () => ({
    free: new Float64Array(count + 1).fill(Number.POSITIVE_INFINITY),
    low: 0,
    high: 0,
  }));
  const rowAt = (index: number): (typeof rows)[number] => {
    const row = rows[index % rows.length];
    if (row === undefined) throw new RangeError(`no row ${index}`);
    return row;
  };
  rowAt(0).free[0] = Number.NEGATIVE_INFINITY;
  for (let index = 1; index <= count; index++) {
    const row = rowAt(index);
    const before = rowAt(index - 1);
    const arrival = arrivals[index - 1] ?? 0;
    row.free.fill(Number.POSITIVE_INFINITY, row.low, row.high + maxRows + 1);
    row.free.set(before.free.subarray(before.low, before.high + 1), before.low);
    row.low = before.low;
    row.high = before.high;
    for (let size = 1; size <= Math.min(maxRows, index); size++) {
      const took = runMs[size] ?? Number.POSITIVE_INFINITY;
      const limit = (arrivals[index - size] ?? 0) + sloMs + 1e-9;
      // Larger batches take longer, and their first request is older.
      if (arrival + took > limit) break;
      const { free, low, high } = rowAt(index - size);
      for (let inTime = low; inTime <= high; inTime++) {
        const end = Math.max(free[inTime] ?? Number.POSITIVE_INFINITY, arrival) + took;
        if (end > limit) break;
        const total = inTime + size;
        if (end < (row.free[total] ?? 0)) row.free[total] = end;
        if (total > row.high) row.high = total;
      }
    }
    const next = arrivals[index] ?? Number.POSITIVE_INFINITY;
    // At least k in time: what answers more of them, and is free earlier, replaces it.
    for (let inTime = row.high - 1; inTime >= row.low; inTime--) {
      const more = row.free[inTime + 1] ?? Number.POSITIVE_INFINITY;
      if (more < (row.free[inTime] ?? 0)) row.free[inTime] = more;
      if (more <= next) {
        row.low = inTime + 1;
        break;
      }
    }
  }
  return rowAt(count).high;
}
