/** Paths in configurations, which stay inside the folder that they are relative to. */

import path from 'node:path';

export const INNER_PATH = "expected a relative path without '..' and backslashes";

export function isInnerPath(file: string): boolean {
  if (file.includes('\\') || file.includes('\0') || path.posix.isAbsolute(file)) return false;
  return file.split('/').every((segment) => segment !== '' && segment !== '..');
}
