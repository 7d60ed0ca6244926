/** Names and texts of other people in a TypeScript file: none of them ends a literal or a comment. */

/** Names that no interface may have. */
const RESERVED: ReadonlySet<string> = new Set([
  'Models',
  'ClientOptions',
  'InputOf',
  'ModelForm',
  'ModelsClient',
  'Tensor',
]);

/** A string literal. */
export function toLiteral(text: string): string {
  const escaped = JSON.stringify(text.toWellFormed())
    .slice(1, -1)
    .replaceAll('\\"', '"')
    .replaceAll("'", "\\'")
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029');
  return `'${escaped}'`;
}

/** The name of a property: quoted unless it is an identifier. */
export function toKey(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : toLiteral(name);
}

export function union(texts: readonly string[]): string {
  return [...new Set(texts)].map(toLiteral).join(' | ');
}

/** A doc comment of these lines, without those that are empty. */
export function toComment(lines: readonly string[]): string {
  const kept = lines.map((line) =>
    line
      .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
      .replaceAll('*/', '* /')
      .trim(),
  );
  const [first = '', ...others] = kept.filter((line) => line !== '');
  if (others.length === 0) return `/** ${first} */`;
  return ['/**', ...[first, ...others].map((line) => ` * ${line}`), ' */'].join('\n');
}

/** The name of an interface for each model: different also where models differ only in case, or in what no identifier has. */
export function typeNames(models: readonly string[]): ReadonlyMap<string, string> {
  const taken = new Set([...RESERVED].map((name) => name.toLowerCase()));
  const names = new Map<string, string>();
  for (const model of models) {
    const words = model.match(/[\p{L}\p{N}]+/gu) ?? [];
    const pascal = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
    const base = /^\p{L}/u.test(pascal) ? pascal : `Model${pascal}`;
    let name = base;
    for (let count = 2; taken.has(name.toLowerCase()); count += 1) name = `${base}_${count}`;
    taken.add(name.toLowerCase());
    names.set(model, name);
  }
  return names;
}
