/** A strict reader of Prometheus's text format, version 0.0.4: whatever it does not know is an error. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const HELP = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const TYPE = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|Inf)|NaN)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

export function parsePrometheusText(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: RegExpExecArray | null = null;
  let family: Family | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    if (line.startsWith('# HELP')) {
      help = matchLine(HELP, line);
      family = undefined;
    } else if (line.startsWith('# TYPE')) {
      const [, name = '', type = ''] = matchLine(TYPE, line);
      if (help?.[1] !== name) throw new Error(`no HELP right before: ${line}`);
      if (families.has(name)) throw new Error(`described twice: ${name}`);
      // Triton's names are its own.
      const isOurs = !name.startsWith('nv_');
      if (isOurs && type === 'counter' && !name.endsWith('_total'))
        throw new Error(`a counter without _total: ${name}`);
      family = { name, type, help: help[2] ?? '', samples: [] };
      families.set(name, family);
    } else {
      const sample = parseSample(line);
      if (family === undefined || !belongsTo(sample.name, family)) throw new Error(`outside of its family: ${line}`);
      const series = line.slice(0, line.lastIndexOf(' '));
      if (seen.has(series)) throw new Error(`twice: ${series}`);
      seen.add(series);
      family.samples.push(sample);
    }
  }
  for (const each of families.values()) if (each.type === 'histogram') checkHistogram(each);
  return families;
}

/** The value of the one series with these labels; `undefined` where there is none. */
export function sampleValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  const found = family?.samples.filter((sample) => sample.name === name && hasLabels(sample, labels));
  if (found !== undefined && found.length > 1) throw new Error(`several series of ${name} have these labels`);
  return found?.[0]?.value;
}

/** Whether a series has these labels, among others. */
export function hasLabels({ labels }: Sample, wanted: Readonly<Record<string, string>> = {}): boolean {
  return Object.entries(wanted).every(([label, value]) => labels[label] === value);
}

function parseSample(line: string): Sample {
  const [, name = '', list = '', number = ''] = matchLine(SAMPLE, line);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < list.length) {
    const at = LABEL.lastIndex;
    const [, label = '', value = ''] = LABEL.exec(list) ?? [];
    if (LABEL.lastIndex === 0) throw new Error(`bad labels at ${list.slice(at)}`);
    if (label in labels) throw new Error(`label twice: ${line}`);
    labels[label] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
  }
  return { name, labels, value: Number(number.replace('Inf', 'Infinity')) };
}

function belongsTo(name: string, { name: family, type }: Family): boolean {
  if (type !== 'histogram') return name === family;
  return [`${family}_bucket`, `${family}_sum`, `${family}_count`].includes(name);
}

function checkHistogram({ name, samples }: Family): void {
  const groups = Map.groupBy(samples, ({ labels: { le, ...labels } }) => JSON.stringify(labels));
  for (const [labels, group] of groups) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map((bucket) => Number(bucket.labels['le']?.replace('+Inf', 'Infinity')));
    const counts = buckets.map((bucket) => bucket.value);
    if (!isAscending(bounds) || bounds.at(-1) !== Number.POSITIVE_INFINITY)
      throw new Error(`buckets of ${name}${labels}`);
    if (counts.some((count, index) => count < (counts[index - 1] ?? 0))) throw new Error(`${name} is not cumulative`);
    const [count, ...others] = group.filter((sample) => sample.name === `${name}_count`);
    if (others.length > 0 || count?.value !== counts.at(-1)) throw new Error(`count of ${name}${labels}`);
    if (group.filter((sample) => sample.name === `${name}_sum`).length !== 1)
      throw new Error(`sum of ${name}${labels}`);
  }
}

function isAscending(numbers: readonly number[]): boolean {
  return numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? number));
}

function matchLine(pattern: RegExp, line: string): RegExpExecArray {
  const match = pattern.exec(line);
  if (match === null) throw new Error(`not in the format: ${line}`);
  return match;
}
