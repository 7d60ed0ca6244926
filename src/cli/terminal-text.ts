/** Texts of servers and models on one line of a terminal: none may break the line or move the reader's cursor. */
export function toOneLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}
