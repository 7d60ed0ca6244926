/** The part of a folder with texts that gives the texts of token ids. Few callers ask it, so that lists for people leave it out. */
export function isSidePart(model: string): boolean {
  return model.endsWith(':detokenizer');
}
