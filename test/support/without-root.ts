/** Runs `task` with the rights of an ordinary user: root may read everything, whatever its permissions. */

const NOBODY = 65_534;

export async function withoutRoot<T>(task: () => Promise<T>): Promise<T> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(NOBODY);
  try {
    return await task();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}
