/** Protocol Buffers' text format, as tokens. */

/** Longest text that is quoted in a problem or compared with names. */
export const MAX_QUOTED = 100;

/** Where the text stops being text format: what follows cannot be read. */
export class SyntaxProblem extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

export interface Token {
  readonly kind: 'name' | 'number' | 'string' | 'mark' | 'end';
  readonly text: string;
  readonly offset: number;
}

/** One of a number's forms, or an octal or hexadecimal integer. A letter right behind it is no part of it, and an error. */
const NUMBER = /(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?)/y;

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;

const SPACE = /(?:[ \t\r\n\v\f]|#[^\n]*)+/y;

const MARKS = '{}<>[]:,;-';

/** The marks that close what another opens. */
export const CLOSING: ReadonlyMap<string, string> = new Map([
  ['{', '}'],
  ['<', '>'],
  ['[', ']'],
]);

/** Reads one token ahead. */
export class Lexer {
  readonly #text: string;
  #at = 0;
  #token: Token = { kind: 'end', text: '', offset: 0 };

  constructor(text: string) {
    this.#text = text;
  }

  get token(): Token {
    return this.#token;
  }

  is(kind: Token['kind'], text: string | undefined): boolean {
    return this.#token.kind === kind && this.#token.text === text;
  }

  has(kind: Token['kind']): boolean {
    return this.#token.kind === kind;
  }

  take(mark: string, wanted: string): void {
    if (!this.is('mark', mark)) throw this.expected(wanted);
    this.next();
  }

  expected(wanted: string): SyntaxProblem {
    const { kind, text, offset } = this.#token;
    return new SyntaxProblem(
      offset,
      `expected ${wanted}, got ${kind === 'end' ? 'the end' : `'${text.slice(0, MAX_QUOTED)}'`}`,
    );
  }

  next(): void {
    this.#match(SPACE);
    const offset = this.#at;
    const first = this.#text[offset];
    if (first === undefined) {
      this.#token = { kind: 'end', text: '', offset };
    } else if (first === '"' || first === "'") {
      this.#token = { kind: 'string', text: this.#quoted(first), offset };
    } else {
      const name = this.#match(NAME);
      const number = name === undefined ? this.#match(NUMBER) : undefined;
      if (name !== undefined) {
        this.#token = { kind: 'name', text: name, offset };
      } else if (number !== undefined) {
        if (/[A-Za-z0-9_.]/.test(this.#text[this.#at] ?? '')) {
          throw new SyntaxProblem(offset, `'${number}${this.#text[this.#at]}' begins like a number and is none`);
        }
        this.#token = { kind: 'number', text: number, offset };
      } else if (MARKS.includes(first)) {
        this.#at++;
        this.#token = { kind: 'mark', text: first, offset };
      } else {
        throw new SyntaxProblem(offset, `unexpected character ${JSON.stringify(first)}`);
      }
    }
  }

  /** From here on, with its quotes. */
  #quoted(quote: string): string {
    const start = this.#at;
    for (let at = start + 1; at < this.#text.length; at++) {
      const character = this.#text[at];
      if (character === '\n') break;
      if (character === '\\') at++;
      else if (character === quote) {
        this.#at = at + 1;
        return this.#text.slice(start, at + 1);
      }
    }
    throw new SyntaxProblem(start, `the text that begins here has no closing ${quote} on its line`);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
