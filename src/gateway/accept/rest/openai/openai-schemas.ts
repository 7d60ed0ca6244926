/** Bodies and answers of the paths for texts, as JSON schemas for OpenAPI. */

const COUNT = { type: 'integer', minimum: 0 };
const MODEL = { type: 'string', minLength: 1 };
const TOKENS = { type: 'array', items: COUNT };
const TEXTS = { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 2_048 };
const USAGE = { type: 'object', properties: { prompt_tokens: COUNT, total_tokens: COUNT } };

export const EMBEDDINGS = {
  body: {
    type: 'object',
    required: ['model', 'input'],
    properties: {
      model: MODEL,
      input: {
        anyOf: [
          { type: 'string' },
          TEXTS,
          { ...TOKENS, minItems: 1 },
          { type: 'array', items: { ...TOKENS, minItems: 1 }, minItems: 1, maxItems: 2_048 },
        ],
      },
      encoding_format: { enum: ['float', 'base64', null] },
      dimensions: { type: ['integer', 'null'], minimum: 1 },
    },
  },
  answer: {
    type: 'object',
    required: ['object', 'data', 'model', 'usage'],
    properties: {
      object: { const: 'list' },
      data: {
        type: 'array',
        items: {
          type: 'object',
          required: ['object', 'index', 'embedding'],
          properties: {
            object: { const: 'embedding' },
            index: COUNT,
            embedding: { anyOf: [{ type: 'array', items: { type: 'number' } }, { type: 'string' }] },
          },
        },
      },
      model: { type: 'string' },
      usage: USAGE,
    },
  },
};

export const RERANK = {
  body: {
    type: 'object',
    required: ['model', 'query', 'documents'],
    properties: {
      model: MODEL,
      query: { type: 'string' },
      documents: {
        ...TEXTS,
        items: {
          anyOf: [{ type: 'string' }, { type: 'object', required: ['text'], properties: { text: { type: 'string' } } }],
        },
      },
      top_n: { type: ['integer', 'null'], minimum: 1 },
      return_documents: { type: ['boolean', 'null'] },
    },
  },
  answer: {
    type: 'object',
    required: ['model', 'results', 'usage'],
    properties: {
      model: { type: 'string' },
      results: {
        type: 'array',
        items: {
          type: 'object',
          required: ['index', 'relevance_score'],
          properties: {
            index: COUNT,
            relevance_score: { type: 'number' },
            document: { type: 'object', properties: { text: { type: 'string' } } },
          },
        },
      },
      usage: USAGE,
    },
  },
};

const CLASS = { label: { type: 'string' }, score: { type: 'number' } };

export const CLASSIFY = {
  body: {
    type: 'object',
    required: ['model', 'input'],
    properties: { model: MODEL, input: { anyOf: [{ type: 'string' }, TEXTS] } },
  },
  answer: {
    type: 'object',
    required: ['object', 'model', 'data', 'usage'],
    properties: {
      object: { const: 'list' },
      model: { type: 'string' },
      data: {
        type: 'array',
        items: {
          type: 'object',
          required: ['index', 'label', 'classes'],
          properties: {
            index: COUNT,
            label: { type: 'string' },
            classes: { type: 'array', items: { type: 'object', properties: CLASS } },
          },
        },
      },
      usage: USAGE,
    },
  },
};

export const TOKENIZE = {
  body: {
    type: 'object',
    required: ['model', 'input'],
    properties: { model: MODEL, input: { anyOf: [{ type: 'string' }, TEXTS] } },
  },
  answer: {
    type: 'object',
    required: ['tokens', 'count'],
    properties: {
      tokens: { anyOf: [TOKENS, { type: 'array', items: TOKENS }] },
      count: { anyOf: [COUNT, { type: 'array', items: COUNT }] },
    },
  },
};

export const DETOKENIZE = {
  body: {
    type: 'object',
    required: ['model', 'tokens'],
    properties: {
      model: MODEL,
      tokens: {
        anyOf: [
          { ...TOKENS, minItems: 1 },
          { type: 'array', items: { ...TOKENS, minItems: 1 }, minItems: 1, maxItems: 2_048 },
        ],
      },
      skip_special_tokens: { type: ['boolean', 'null'], default: true },
    },
  },
  answer: {
    type: 'object',
    properties: { text: { type: 'string' }, texts: { type: 'array', items: { type: 'string' } } },
  },
};

export const LISTED_MODEL = {
  type: 'object',
  required: ['id', 'object', 'created', 'owned_by'],
  properties: { id: { type: 'string' }, object: { const: 'model' }, created: COUNT, owned_by: { type: 'string' } },
};

export const MODEL_LIST = {
  type: 'object',
  required: ['object', 'data'],
  properties: { object: { const: 'list' }, data: { type: 'array', items: LISTED_MODEL } },
};
