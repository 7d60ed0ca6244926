/** The text of a thrown value, such as `ENOENT: no such file or directory, open 'x.png'`. JavaScript may throw any value, not only an Error. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
