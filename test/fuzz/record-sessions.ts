/**
 * Records what real clients send to a server, for the fuzzer to start from: `node test/fuzz/record-sessions.ts`, on a machine
 * where test/tools/setup.sh has run. Of each connection the frames up to 12 KB are kept, in sessions/<client>-<number>.bin.
 */

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { framesOf, PREFACE } from '../http2/raw-frames.ts';
import { MODELS } from '../interop/documented.ts';
import { startServer } from '../support/server.ts';
import { INFERENCE, method } from '../support/stock-client.ts';
import { grpcurl, h2load, javaToolchain, pythonWithTritonClient } from '../tools/tools.ts';

const FOLDER = path.join(import.meta.dirname, 'sessions');
const JAR = fileURLToPath(new URL('../interop/java-client/target/java-client.jar', import.meta.url));
const MAX_BYTES = 12 * 1024;
const run = promisify(execFile);

/** Asks the server at `port` what such a client asks. */
type Client = (port: number) => Promise<unknown>;

const TRITON_CLIENT = `
import sys, numpy as np, tritonclient.grpc as grpc
client = grpc.InferenceServerClient(sys.argv[1])
client.is_server_live(), client.get_model_metadata("cifar10")
image = grpc.InferInput("image", [1, 3, 32, 32], "UINT8")
image.set_data_from_numpy(np.zeros((1, 3, 32, 32), np.uint8))
client.infer("cifar10", [image], headers={"x-text": "as it is", "x-bytes-bin": b"\\x00\\xff"})
client.infer("cifar10", [image], compression_algorithm="gzip")
client.start_stream(lambda result, error: None)
client.async_stream_infer("cifar10", [image])
client.stop_stream()
`;

const CLIENTS: Readonly<Record<string, Client>> = {
  async 'grpc-js'(port) {
    const client = new RawClient(port, { 'grpc.default_compression_algorithm': 2 });
    const live = method(INFERENCE, 'ServerLive').path;
    const infer = method(INFERENCE, 'ModelInfer');
    const message = infer.requestSerialize({ model_name: 'nope', inputs: [] });
    const metadata = { 'x-text': 'as it is', 'x-bytes-bin': Buffer.from([0, 255]) };
    await client.unary(live, Buffer.alloc(0), { metadata });
    await client.unary(live, Buffer.alloc(0), { metadata, timeoutMs: 5_000 });
    await client.unary(infer.path, message, { metadata });
    await client.unary('/no.Such/Method', message);
    const stream = client.stream(method(INFERENCE, 'ModelStreamInfer').path);
    stream.on('error', () => undefined);
    for (let count = 0; count < 3; count++) stream.write(message);
    await once(stream, 'data');
    stream.cancel();
    await client.unary(live, Buffer.alloc(0));
    client.close();
  },
  async grpcio(port) {
    await run(needed(pythonWithTritonClient(), 'tritonclient'), ['-c', TRITON_CLIENT, `127.0.0.1:${port}`]);
  },
  async grpcurl(port) {
    const program = needed(grpcurl(), 'grpcurl');
    await run(program, ['-plaintext', `127.0.0.1:${port}`, 'list']);
    const data = JSON.stringify({ name: 'cifar10' });
    await run(program, ['-plaintext', '-d', data, `127.0.0.1:${port}`, `${INFERENCE}/ModelMetadata`]);
  },
  async java(port) {
    await run(needed(javaToolchain(), 'java').java, ['-jar', JAR, `127.0.0.1:${port}`]);
  },
  async nghttp2(port) {
    const empty = path.join(FOLDER, 'empty');
    fs.writeFileSync(empty, Buffer.alloc(5));
    const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
    const url = `http://127.0.0.1:${port}/${INFERENCE}/ServerLive`;
    await run(needed(h2load(), 'h2load'), ['-n', '6', '-c', '1', '-m', '3', '-d', empty, ...headers, url]);
    fs.rmSync(empty);
  },
};

function needed<Tool>(tool: Tool | undefined, name: string): Tool {
  if (tool === undefined) throw new Error(`${name} is not installed: test/tools/setup.sh does`);
  return tool;
}

/** Stands between a client and the server. @returns what each connection of the client sent */
async function record(client: Client, serverPort: number): Promise<Buffer[]> {
  const sent: Buffer[][] = [];
  const relay = net.createServer((socket) => {
    const chunks: Buffer[] = [];
    sent.push(chunks);
    const server = net.connect(serverPort, '127.0.0.1');
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.pipe(server).pipe(socket);
    socket.on('error', () => server.destroy());
    server.on('error', () => socket.destroy());
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  await client((relay.address() as AddressInfo).port);
  relay.close();
  return sent.map((chunks) => Buffer.concat(chunks));
}

/** The preface and whole frames. */
function beginningOf(session: Buffer): Buffer {
  let end = PREFACE.length;
  for (const { payload } of framesOf(session.subarray(PREFACE.length))) {
    if (end + 9 + payload.length > MAX_BYTES) break;
    end += 9 + payload.length;
  }
  return session.subarray(0, end);
}

await using server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
for (const [name, client] of Object.entries(CLIENTS)) {
  const sessions = await record(client, server.grpcPort);
  for (const [index, session] of sessions.entries()) {
    const kept = beginningOf(session);
    fs.writeFileSync(path.join(FOLDER, `${name}-${index + 1}.bin`), kept);
    console.log(`${name}-${index + 1}: ${kept.length} of ${session.length} bytes`);
  }
}
