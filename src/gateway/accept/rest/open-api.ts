/** The OpenAPI document of the REST routes: made from the routes, so that it has all of them. */

import { DATATYPE_BYTES } from '../../../wire/tensor.ts';
import { REASONS } from '../../errors.ts';
import type { RestRoute } from './rest-route.ts';

const JSON_BODY = (schema: object): object => ({ content: { 'application/json': { schema } } });

const ERROR_SCHEMA = { $ref: '#/components/schemas/Error' };
const ERROR = { description: 'What is wrong, and what to do', ...JSON_BODY(ERROR_SCHEMA) };

const OPENAI_ERROR = { ...ERROR, ...JSON_BODY({ $ref: '#/components/schemas/OpenAiError' }) };

function isOpenAi(route: RestRoute): boolean {
  return route.kind === 'json' && route.errorOf !== undefined;
}

/** The codes that calls end with (docs/errors.md). */
const FAILURES = ['400', '404', '405', '413', '429', '499', '500', '501', '503', '504'];

export function openApiDocument(routes: readonly RestRoute[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = paths[route.path] ?? {};
    paths[route.path] = path;
    path[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'tensorgate',
      version,
      description:
        'Open Inference Protocol v2 over REST, and paths for texts as OpenAI has them. gRPC offers the same inferences, and is faster.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: { schemas: SCHEMAS },
  };
}

function operationOf(route: RestRoute): object {
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  const body = bodyOf(route);
  return {
    operationId: `${route.rpc}${names.map((name) => `_${name}`).join('')}_${route.method.toLowerCase()}_${route.path.split('/').at(-1)?.replace(/\W/g, '')}`,
    summary: route.summary,
    parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string', minLength: 1 } })),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: {
      '200': { description: 'Done', ...answerOf(route) },
      ...Object.fromEntries(FAILURES.map((code) => [code, code !== '405' && isOpenAi(route) ? OPENAI_ERROR : ERROR])),
      ...(HEALTH[route.rpc] !== undefined && {
        '503': { description: 'It is not', ...healthOf(route.rpc, ERROR_SCHEMA) },
      }),
    },
  };
}

function bodyOf(route: RestRoute): object | undefined {
  if (route.kind === 'infer') {
    return {
      required: true,
      description:
        'Binary tensors may follow the JSON: then inference-header-content-length is its length (docs/clients.md).',
      content: { 'application/json': { schema: { $ref: '#/components/schemas/InferRequest' } } },
    };
  }
  const body = route.schemas?.body ?? BODIES[route.rpc] ?? { type: 'object' };
  return route.method === 'GET' ? undefined : JSON_BODY(body);
}

function answerOf(route: RestRoute): object {
  if (HEALTH[route.rpc] !== undefined) return healthOf(route.rpc);
  if (route.kind === 'json') return route.silent ? {} : JSON_BODY(route.schemas?.answer ?? {});
  return {
    content: {
      'application/json': { schema: { $ref: '#/components/schemas/InferResponse' } },
      'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
    },
  };
}

/** Answers to probes by RPC, the same with 200 and with 503. */
const HEALTH: Readonly<Record<string, object>> = {
  ServerLive: healthSchema({ live: { type: 'boolean' } }),
  ServerReady: healthSchema({ ready: { type: 'boolean' } }),
  ModelReady: healthSchema({ name: { type: 'string' }, ready: { type: 'boolean' } }),
};

function healthSchema(properties: Readonly<Record<string, object>>): object {
  return { type: 'object', required: Object.keys(properties), properties };
}

function healthOf(rpc: string, ...others: readonly object[]): object {
  return JSON_BODY({ anyOf: [HEALTH[rpc], ...others] });
}

/** Bodies by RPC, where not any object will do. */
const BODIES: Readonly<Record<string, object>> = {
  RepositoryIndex: {
    type: 'object',
    properties: { ready: { type: ['boolean', 'null'] } },
    additionalProperties: false,
  },
  RepositoryModelLoad: {
    type: 'object',
    properties: {
      parameters: {
        type: ['object', 'null'],
        properties: { config: { type: ['string', 'null'], description: 'A ModelConfig as JSON' } },
        patternProperties: { '^file:': { type: 'string', contentEncoding: 'base64' } },
        additionalProperties: false,
      },
    },
    additionalProperties: false,
  },
  RepositoryModelUnload: {
    type: 'object',
    properties: {
      parameters: { type: ['object', 'null'], properties: { unload_dependents: { type: ['boolean', 'null'] } } },
    },
    additionalProperties: false,
  },
  TraceSetting: {
    type: 'object',
    properties: {
      trace_level: { type: ['array', 'null'], items: { enum: ['OFF'] } },
      trace_rate: {
        type: ['string', 'integer', 'null'],
        minimum: 1,
        maximum: 2_147_483_647,
        pattern: '^[1-9][0-9]{0,8}$',
      },
      trace_count: {
        type: ['string', 'integer', 'null'],
        minimum: -1,
        maximum: 2_147_483_647,
        pattern: '^(-1|0|[1-9][0-9]{0,8})$',
      },
    },
    additionalProperties: false,
  },
  LogSettings: {
    type: 'object',
    properties: {
      log_info: { type: 'boolean' },
      log_warning: { type: 'boolean' },
      log_error: { type: 'boolean' },
      log_verbose_level: { type: 'integer', minimum: 0, maximum: 4_294_967_295 },
      log_format: { enum: ['default', 'ISO8601', 'json', 'text'] },
    },
    additionalProperties: false,
  },
};

/** `null` is no value in optional fields of a request. */
const PARAMETERS = {
  type: ['object', 'null'],
  additionalProperties: { type: ['boolean', 'number', 'string', 'null'] },
};

const SCHEMAS = {
  OpenAiError: {
    type: 'object',
    required: ['error'],
    properties: {
      error: {
        type: 'object',
        required: ['message', 'type', 'param', 'code'],
        properties: {
          message: { type: 'string' },
          type: { type: 'string' },
          param: { type: ['string', 'null'] },
          code: { type: 'string', enum: Object.keys(REASONS) },
        },
      },
    },
  },
  Error: {
    type: 'object',
    required: ['error'],
    properties: {
      error: { type: 'string' },
      reason: { type: 'string', enum: Object.keys(REASONS) },
      field: { type: 'string' },
    },
  },
  InferRequest: {
    type: 'object',
    required: ['inputs'],
    properties: {
      id: { type: ['string', 'null'] },
      parameters: PARAMETERS,
      inputs: {
        type: 'array',
        items: {
          type: 'object',
          required: ['name', 'datatype', 'shape', 'data'],
          properties: {
            name: { type: 'string' },
            datatype: { enum: Object.keys(DATATYPE_BYTES) },
            shape: { type: 'array', items: { type: 'integer', minimum: 0 } },
            parameters: PARAMETERS,
            data: { type: 'array' },
          },
        },
      },
      outputs: {
        type: ['array', 'null'],
        items: {
          type: 'object',
          required: ['name'],
          properties: { name: { type: 'string' }, parameters: PARAMETERS },
        },
      },
    },
  },
  InferResponse: {
    type: 'object',
    required: ['model_name', 'model_version', 'outputs'],
    properties: {
      id: { type: 'string' },
      model_name: { type: 'string' },
      model_version: { type: 'string' },
      parameters: { type: 'object' },
      outputs: {
        type: 'array',
        items: {
          type: 'object',
          required: ['name', 'datatype', 'shape'],
          properties: {
            name: { type: 'string' },
            datatype: { type: 'string' },
            shape: { type: 'array', items: { type: 'integer' } },
            parameters: { type: 'object' },
            data: { type: 'array' },
          },
        },
      },
    },
  },
};
