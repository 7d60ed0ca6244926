const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

/** A quantity of Kubernetes, such as `500m` or `1Gi`. @throws TypeError where it is none */
export function parseQuantity(text: string): number {
  const [, number, suffix = ''] = /^([0-9.]+)([a-zA-Z]*)$/.exec(text) ?? [];
  const factor = FACTORS[suffix];
  if (number === undefined || factor === undefined) throw new TypeError(`no quantity: ${text}`);
  return Number(number) * factor;
}
