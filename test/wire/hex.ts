/** The bytes of hexadecimal digits; blanks are for the reader. */
export function hex(...parts: string[]): Uint8Array {
  const digits = parts.join('').replaceAll(' ', '');
  const bytes = Buffer.from(digits, 'hex');
  if (bytes.length !== digits.length / 2) throw new Error(`not hexadecimal: ${digits}`);
  return bytes;
}

/** The tag of a field. */
export function tag(field: number, wireType: number): string {
  return ((field << 3) | wireType).toString(16).padStart(2, '0');
}

/** A length-delimited field. */
export function nest(field: number, content: string): string {
  const length = hex(content).length;
  if (length > 127) throw new Error('a length of one byte only');
  return `${tag(field, 2)}${length.toString(16).padStart(2, '0')}${content}`;
}
