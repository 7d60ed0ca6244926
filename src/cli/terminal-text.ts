/** Texts of servers and models on one line of a terminal: none may break it, or move the cursor of whoever reads it. */
export function toOneLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}
