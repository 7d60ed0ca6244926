/** Names of the parts of an exported folder: `minilm:tokenizer` is the part `tokenizer` of the folder `minilm`. */

const PART_MARK = ':';

/** The folder of a model, and the part of it, which is `''` for the folder itself. */
export function partOf(name: string): { readonly folder: string; readonly part: string } {
  const mark = name.indexOf(PART_MARK);
  return mark < 0 ? { folder: name, part: '' } : { folder: name.slice(0, mark), part: name.slice(mark + 1) };
}

export function nameOfPart(folder: string, part: string): string {
  return part === '' ? folder : `${folder}${PART_MARK}${part}`;
}
