/** The three sizes of a request that the benches use: FP32 columns of a row. */
export const SIZES = [
  { name: '256 B', columns: 64 },
  { name: '12 KB', columns: 3_072 },
  { name: '602 KB', columns: 150_528 },
] as const;
