/**
 * The phrases that CONTRIBUTING.md rules out, and what to write instead. Each has an example that it must find: a test
 * holds the two together.
 */

export type TextKind = 'comment' | 'comment of a tool' | 'text' | 'name';

export interface Phrase {
  /** The phrase as a finding names it. */
  readonly name: string;
  /** Matches prose on one line, without code in backticks. */
  readonly pattern: RegExp;
  readonly instead: string;
  /** The only kinds of text that it is ruled out in; absent: all. */
  readonly only?: readonly TextKind[];
  /** Prose that the pattern finds. */
  readonly example: string;
}

/** Adverbs may precede the subject; a participle or an adjective there makes the reader start again. */
const ADVERBS =
  'Afterwards|Also|Besides|Eventually|Finally|First|Hence|Here|However|Instead|Later|Likewise|Meanwhile|Now|Otherwise|Second|So|Still|Then|There|Therefore|Third|Thus|Today|Usually|Yes|No|For example|Unless';

export const PHRASES: readonly Phrase[] = [
  {
    name: 'alone',
    pattern: /\balone\b/i,
    instead: 'only, or by itself',
    // It is a good word in a name, such as `aloneMs`.
    only: ['comment', 'comment of a tool', 'text'],
    example: 'Served on the admin port alone.',
  },
  { name: 'anew', pattern: /\banew\b/i, instead: 'again', example: 'The counters begin anew.' },
  {
    name: 'else',
    pattern: /\b(?<!(?:anything|something|nothing|everything|anywhere|somewhere|or) )else\b(?! if\b)/i,
    instead: 'otherwise, or other',
    example: '1 while the model is READY, else 0.',
  },
  {
    name: 'nobody',
    pattern: /\b(nobody|everybody|anybody|somebody)\b/i,
    instead: 'no one, or the noun',
    example: 'Nobody reads it.',
  },
  {
    name: 'whoever',
    pattern: /\b(whoever|whomever|whosoever)\b/i,
    instead: 'the noun: a client, a caller',
    example: 'Whoever may, runs programs.',
  },
  { name: 'in vain', pattern: /\bin vain\b/i, instead: 'without effect', example: 'The setting is in vain.' },
  {
    name: 'tell, told',
    pattern: /\b(tell|tells|telling|told)\b/i,
    instead: 'report, notify, log, say',
    example: 'The runner tells the gateway.',
  },
  {
    name: 'hear, heard',
    pattern: /\b(hear|hears|hearing|heard|unheard)\b/i,
    instead: 'receive, observe',
    example: 'The parameter is heard.',
  },
  {
    name: 'bear, borne',
    pattern: /\b(bear|bears|borne)\b/i,
    instead: 'tolerate, allow',
    example: 'Noise is borne up to a limit.',
  },
  {
    name: 'occupant, rider',
    pattern: /\b(occupants?|riders?|surroundings|dispensable|rouses?|strangers?|farewell)\b/i,
    instead: "the field's word: version, sharer, dependencies, evictable, activate, shutdown",
    example: 'The occupant of a runner.',
  },
  {
    name: 'goes for',
    pattern: /\b(go|goes) for\b/i,
    instead: 'is chosen, applies to',
    example: 'The same goes for REST.',
  },
  {
    name: 'of which, of whom',
    pattern: /\bof (which|whom)\b/i,
    instead: 'whose, or a second sentence',
    example: 'A model of which every row is too large.',
  },
  {
    name: 'what is',
    pattern: /\bwhat (is|are|was|were) (?!wrong\b|new\b|expected\b|allowed\b)/i,
    instead: 'the noun',
    example: 'It keeps what is left.',
  },
  {
    name: 'opens with what',
    pattern: /^what\b/i,
    instead: 'the noun first',
    only: ['comment'],
    example: 'What the queue holds.',
  },
  {
    name: 'that of',
    pattern: /\b(that|those) of\b/i,
    instead: 'the noun again',
    example: 'The limit is that of the model.',
  },
  {
    name: 'the one that',
    pattern: /\bthe ones? (that|which|who|whose|of|for|from|in)\b/i,
    instead: 'the noun again',
    example: 'The one that served before.',
  },
  {
    name: 'opens with a genitive',
    pattern: /^of\b/i,
    instead: 'the subject first: the number of requests, not "Of the requests"',
    example: 'Of the requests, the share that failed.',
  },
  {
    name: 'inverted opening',
    pattern: new RegExp(
      `^(?!(?:${ADVERBS})\\b)(?:[A-Z][a-z]+(?:ed|ing|ent|ble|ful|less|ly)?|Half-open), (it|they|he|one|nothing|that|this) (?!and\\b|or\\b)`,
    ),
    instead: 'subject, verb, object: while open, the breaker answers',
    example: 'Open, it answers at once.',
  },
];

/** A longer sentence usually holds two ideas. */
export const LONG_SENTENCE_WORDS = 30;
