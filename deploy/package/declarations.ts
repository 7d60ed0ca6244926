import fs from 'node:fs';
import path from 'node:path';

const IMPORT = /(\bfrom\s+|\bimport\()(['"])(\.[^'"]+)\.ts\2/g;

/**
 * Removes the declarations in `directory` that `entry` does not import, directly or not. The others import each other by names that end
 * with `.js`, which every compiler understands.
 * @param entry from `directory`, such as `client/inference-client.d.ts`
 */
export function keepReachable(directory: string, entry: string): void {
  const reached = new Set<string>();
  const visit = (name: string): void => {
    if (reached.has(name)) return;
    reached.add(name);
    const file = path.join(directory, name);
    const text = fs.readFileSync(file, 'utf8');
    for (const [, , , target = ''] of text.matchAll(IMPORT)) {
      visit(path.posix.join(path.posix.dirname(name), `${target}.d.ts`));
    }
    fs.writeFileSync(file, text.replace(IMPORT, '$1$2$3.js$2'));
  };
  visit(entry);
  for (const name of fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (name.endsWith('.d.ts') && !reached.has(name)) fs.rmSync(path.join(directory, name));
  }
  removeEmpty(directory);
}

function removeEmpty(directory: string): void {
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmpty(path.join(directory, entry.name));
  }
  if (fs.readdirSync(directory).length === 0) fs.rmdirSync(directory);
}
