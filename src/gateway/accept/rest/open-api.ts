/** The OpenAPI document of the REST routes: made from the routes, so that it has all of them. */

import type { RestRoute } from './rest-routes.ts';

const ERROR = {
  description: 'What is wrong, and what to do',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
};

const JSON_BODY = (schema: object): object => ({ content: { 'application/json': { schema } } });

/** The codes that calls end with (docs/errors.md). */
const FAILURES = ['400', '404', '405', '413', '429', '499', '500', '501', '503', '504'];

/** OpenAPI 3.1. */
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
      description: 'Open Inference Protocol v2 over REST. gRPC offers the same, and is faster.',
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
      '200': { description: 'Done', content: { 'application/json': { schema: answerOf(route) } } },
      ...Object.fromEntries(FAILURES.map((code) => [code, ERROR])),
    },
  };
}

function bodyOf(route: RestRoute): object | undefined {
  if (route.kind === 'infer') {
    return {
      required: true,
      content: {
        'application/json': { schema: { $ref: '#/components/schemas/InferRequest' } },
        'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
      },
    };
  }
  return route.method === 'GET' ? undefined : JSON_BODY({ type: 'object' });
}

function answerOf(route: RestRoute): object {
  return route.kind === 'infer' ? { $ref: '#/components/schemas/InferResponse' } : {};
}

const PARAMETERS = { type: 'object', additionalProperties: { type: ['boolean', 'number', 'string'] } };

const SCHEMAS = {
  Error: { type: 'object', required: ['error'], properties: { error: { type: 'string' } } },
  InferRequest: {
    type: 'object',
    required: ['inputs'],
    additionalProperties: false,
    properties: {
      id: { type: 'string' },
      parameters: PARAMETERS,
      inputs: {
        type: 'array',
        items: {
          type: 'object',
          required: ['name', 'datatype', 'shape'],
          additionalProperties: false,
          properties: {
            name: { type: 'string' },
            datatype: { type: 'string' },
            shape: { type: 'array', items: { type: 'integer' } },
            parameters: PARAMETERS,
            data: { type: 'array' },
          },
        },
      },
      outputs: {
        type: 'array',
        items: {
          type: 'object',
          required: ['name'],
          additionalProperties: false,
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
