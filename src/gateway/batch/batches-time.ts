/**
 * Milliseconds of the batches that so many rows take, one after another: full ones, and one for the rest.
 * @param ms of one batch; `undefined` where that is not known
 */
export function batchesMs(rows: number, maxRows: number, ms: (rows: number) => number | undefined): number | undefined {
  const rest = rows % maxRows;
  const full = rows < maxRows ? 0 : ms(maxRows);
  const last = rest === 0 ? 0 : ms(rest);
  return full === undefined || last === undefined ? undefined : Math.floor(rows / maxRows) * full + last;
}
