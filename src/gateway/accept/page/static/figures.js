/** Figures as people read them. */

/** @param {number} value */
export function count(value) {
  return Math.round(value).toLocaleString('en');
}

/**
 * @param {number} value
 * @param {string} word
 */
export function plural(value, word) {
  return `${count(value)} ${word}${Math.round(value) === 1 ? '' : 's'}`;
}

/** @param {number} value a second */
export function rate(value) {
  if (value === 0) return '0';
  return value >= 10 ? count(value) : value < 0.1 ? '<0.1' : value.toFixed(1);
}

/** @param {number | null | undefined} value in milliseconds */
export function ms(value) {
  if (value === null || value === undefined) return '–';
  if (value >= 100) return count(value);
  return value >= 10 ? value.toFixed(0) : value < 0.1 ? '<0.1' : value.toFixed(1);
}

/** @param {number} share 0 to 1; only all of them is 100 % */
export function percent(share) {
  if (share > 0 && share < 0.001) return '<0.1 %';
  if (share < 1 && share > 0.999) return '>99.9 %';
  const hundredths = share * 100;
  return `${Number(hundredths.toFixed(hundredths >= 10 && hundredths <= 90 ? 0 : 1))} %`;
}

/** @param {number} value */
export function bytes(value) {
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} GB`;
  return value >= 1e6 ? `${count(value / 1e6)} MB` : value === 0 ? '0' : `${count(Math.max(1, value / 1e3))} kB`;
}

/** @param {number} at */
export function clock(at) {
  return new Date(at).toLocaleTimeString('en-GB');
}

/** @param {number} duration in milliseconds */
export function span(duration) {
  const seconds = Math.max(0, Math.round(duration / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129_600 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/**
 * A list in words: `a, b and c`.
 * @param {readonly string[]} names
 * @param {number} [most] names that are written out
 */
export function listed(names, most = 3) {
  const shown = names.slice(0, most);
  const rest = names.length - shown.length;
  const all = rest > 0 ? [...shown, `${rest} more`] : shown;
  return all.length < 2 ? (all[0] ?? '') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`;
}
