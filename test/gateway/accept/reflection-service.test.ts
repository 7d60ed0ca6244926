import { createRequire } from 'node:module';
import path from 'node:path';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import descriptor from 'protobufjs/ext/descriptor/index.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transport } from '../../../src/gateway/accept/call.ts';
import { listenGrpcJs } from '../../../src/gateway/accept/grpc-js-transport.ts';
import { reflectionRoutes } from '../../../src/gateway/accept/reflection-service.ts';
import { TRANSPORT_OPTIONS } from '../../support/transport-options.ts';
import { RawClient } from './raw-client.ts';
import { ReferenceClient } from './reference-service.ts';

const LIBRARY = path.dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));

describe.each(['v1', 'v1alpha'])('server reflection %s', (version) => {
  const service = loadSync(path.join(LIBRARY, `build/proto/grpc/reflection/${version}/reflection.proto`), {
    keepCase: true,
    defaults: true,
    oneofs: true,
  })[`grpc.reflection.${version}.ServerReflection`] as ServiceDefinition;
  let transport: Transport;
  let raw: RawClient;
  let client: ReferenceClient;

  beforeAll(async () => {
    transport = await listenGrpcJs(TRANSPORT_OPTIONS, reflectionRoutes());
    raw = new RawClient(transport.port);
    client = new ReferenceClient(raw, service);
  });

  afterAll(async () => {
    raw.close();
    await transport.drain(1_000);
  });

  test('lists the services', async () => {
    const { status, messages } = await client.stream('ServerReflectionInfo', [{ list_services: '*' }]);
    expect(status).toBe('OK');
    expect(messages).toMatchObject([
      {
        list_services_response: {
          service: [
            { name: 'grpc.health.v1.Health' },
            { name: 'inference.GRPCInferenceService' },
            { name: 'xds.service.orca.v3.OpenRcaService' },
            { name: 'grpc.reflection.v1.ServerReflection' },
            { name: 'tensorgate.v1.Models' },
            { name: 'tensorgate.v1.Traffic' },
            { name: 'tensorgate.v1.Rollout' },
          ],
        },
      },
    ]);
  });

  test('describes them with map entries that are named as protobuf demands', async () => {
    const { messages } = await client.stream('ServerReflectionInfo', [
      { file_containing_symbol: 'inference.GRPCInferenceService' },
      { file_containing_symbol: 'grpc.health.v1.Health' },
    ]);
    const files = messages.flatMap(filesOf);
    expect(files.map(({ name }) => name).sort()).toEqual(['health.proto', 'inference.proto', 'model_config.proto']);
    const names = files.flatMap(({ messageType }) => messageType ?? []).flatMap(mapEntries);
    expect(names).toContainEqual({ field: 'parameters', entry: 'ParametersEntry' });
    expect(names).toContainEqual({ field: 'statuses', entry: 'StatusesEntry' });
    for (const { field, entry } of names) expect(entry).toBe(`${upperCamelCase(field)}Entry`);
  });

  test('answers NOT_FOUND in the stream for a symbol that there is not', async () => {
    const { status, messages } = await client.stream('ServerReflectionInfo', [{ file_containing_symbol: 'no.Such' }]);
    expect(status).toBe('OK');
    expect(messages).toMatchObject([{ error_response: { error_code: 5 } }]);
  });

  test('refuses bytes that are no request', async () => {
    const stream = raw.stream(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);
    const ended = new Promise((resolve) => stream.on('error', resolve));
    stream.resume();
    stream.write(Buffer.from([0xff]));
    expect(await ended).toMatchObject({ code: 13, details: 'Unable to parse request' });
  });
});

function filesOf(message: Readonly<Record<string, unknown>>): descriptor.IFileDescriptorProto[] {
  const { file_descriptor_proto: files } = message['file_descriptor_response'] as {
    readonly file_descriptor_proto: readonly Buffer[];
  };
  return files.map((file) => descriptor.FileDescriptorProto.decode(file) as descriptor.IFileDescriptorProto);
}

/** Every field of a message that is a map, and the name of its entries' type. */
function mapEntries(message: descriptor.IDescriptorProto): { readonly field: string; readonly entry: string }[] {
  const nested = message.nestedType ?? [];
  const entries = new Set(nested.filter(({ options }) => options?.mapEntry).map(({ name }) => name));
  const fields = message.field ?? [];
  const own = fields.flatMap(({ name, typeName }) => {
    const entry = typeName?.split('.').at(-1);
    return name !== undefined && entry !== undefined && entries.has(entry) ? [{ field: name, entry }] : [];
  });
  return [...own, ...nested.flatMap(mapEntries)];
}

function upperCamelCase(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
