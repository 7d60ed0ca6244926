/** The lines that a process prints. */

import { StringDecoder } from 'node:string_decoder';

/** Longest line that is kept: a process that never ends one must not fill the gateway. */
const MAX_CHARACTERS = 8_192;

/** Parts what comes in pieces into lines. Of a line that is too long, the beginning is handed on, and an ellipsis. */
export class OutputLines {
  readonly #print: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #begun = '';
  #isCut = false;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  write(bytes: Buffer): void {
    this.#take(this.#decoder.write(bytes));
  }

  /** No more comes: what there is of a last line is one. */
  end(): void {
    this.#take(this.#decoder.end());
    if (this.#begun !== '') this.#endLine();
  }

  #take(text: string): void {
    let from = 0;
    for (let to = text.indexOf('\n'); to !== -1; to = text.indexOf('\n', from)) {
      this.#append(text.slice(from, to));
      this.#endLine();
      from = to + 1;
    }
    this.#append(text.slice(from));
  }

  #append(text: string): void {
    const room = MAX_CHARACTERS - this.#begun.length;
    this.#begun += text.slice(0, room);
    this.#isCut ||= text.length > room;
  }

  #endLine(): void {
    this.#print(this.#isCut ? `${this.#begun}…` : this.#begun);
    this.#begun = '';
    this.#isCut = false;
  }
}
