/** Finds the outside tools that `setup.sh` installs, or the system's own. */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const here = path.resolve(import.meta.dirname, '../../.tools');
const folders = [process.env['TEST_TOOLS'] ?? '', here].filter((folder) => folder !== '');

/** The path of the program, or `undefined` where there is none. So with all that follow. */
export function grpcurl(): string | undefined {
  return program('grpcurl', 'grpcurl');
}

export function ghz(): string | undefined {
  return program('ghz', 'ghz');
}

export function grpcHealthProbe(): string | undefined {
  return program('grpc-health-probe', 'grpc-health-probe');
}

export function h2spec(): string | undefined {
  return program('h2spec', 'h2spec');
}

/** The client of gRPC's own interoperability tests. Called `client` by Go, so it is not looked for elsewhere. */
export function grpcInteropClient(): string | undefined {
  return folders.map((folder) => path.join(folder, 'grpc-interop/client')).find(isExecutable);
}

export function actionlint(): string | undefined {
  return program('actionlint', 'actionlint');
}

export function helm(): string | undefined {
  return program('helm', 'helm');
}

export function hadolint(): string | undefined {
  return program('hadolint/bin', 'hadolint');
}

export function envoy(): string | undefined {
  return program('envoy/bin', 'envoy');
}

/** With the kustomize that deploy/istio needs. Says so where there is none. */
export function kubectl(): string | undefined {
  const found = program('kubectl/bin', 'kubectl');
  const version = found && spawnSync(found, ['version', '--client'], { encoding: 'utf8' }).stdout;
  const [, minor] = /^Client Version: v1\.(\d+)/m.exec(version ?? '') ?? [];
  if (Number(minor) >= OLDEST_KUBECTL) return found;
  console.warn(`SKIPPED: no kubectl from 1.${OLDEST_KUBECTL} on is installed (test/tools/setup.sh does)`);
  return undefined;
}

/** Earlier ones do not support image volumes. */
const OLDEST_KUBECTL = 37;

/** Prometheus's own reader of rules and metrics. */
export function promtool(): string | undefined {
  return program('prometheus/usr/bin', 'promtool');
}

/** A Python interpreter that can import `prometheus_client`, which has the strictest reader of OpenMetrics. */
export function pythonWithPrometheusClient(): string | undefined {
  return pythonWith('prometheus-client', 'prometheus_client');
}

export function h2load(): string | undefined {
  return program('h2load', 'h2load');
}

/** The version of gRPC for C++ with which a server can be built here: compiler, make, libraries and the plug-in of protoc. */
export function grpcCpp(): string | undefined {
  const programs = ['g++', 'make', 'protoc', 'grpc_cpp_plugin'].map((name) => program('grpc-cpp', name));
  if (programs.includes(undefined)) return undefined;
  const { status, stdout } = spawnSync('pkg-config', ['--modversion', 'grpc++', 'protobuf'], { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

export function chromium(): string | undefined {
  return program('chromium', 'chromium');
}

export function perfAnalyzer(): string | undefined {
  return program('perf-analyzer', 'perf_analyzer');
}

export function modelAnalyzer(): string | undefined {
  return program('model-analyzer/bin', 'model-analyzer');
}

export function schemathesis(): string | undefined {
  return program('schemathesis/bin', 'schemathesis');
}

export function bun(): string | undefined {
  return program('bun', 'bun');
}

export function deno(): string | undefined {
  return program('deno', 'deno');
}

export function buf(): string | undefined {
  return program('buf/node_modules/.bin', 'buf');
}

/** A Go compiler, buf, and the plug-ins of `buf generate` that write Go. */
export interface GoToolchain {
  readonly go: string;
  readonly buf: string;
  readonly protocGenGo: string;
  readonly protocGenGoGrpc: string;
}

export function goToolchain(): GoToolchain | undefined {
  const go = program('go/bin', 'go');
  const generator = buf();
  const protocGenGo = program('protoc-gen-go', 'protoc-gen-go');
  const protocGenGoGrpc = program('protoc-gen-go', 'protoc-gen-go-grpc');
  if (go === undefined || generator === undefined) return undefined;
  if (protocGenGo === undefined || protocGenGoGrpc === undefined) return undefined;
  return { go, buf: generator, protocGenGo, protocGenGoGrpc };
}

/** Java with its compiler, Maven, and a folder with all that Maven needs for the client in Java. */
export interface JavaToolchain {
  readonly java: string;
  readonly mvn: string;
  readonly repository: string;
}

export function javaToolchain(): JavaToolchain | undefined {
  const java = program('java/bin', 'java');
  const mvn = program('maven/bin', 'mvn');
  const repository = folders.map((folder) => path.join(folder, 'maven')).find((each) => existsSync(`${each}/complete`));
  if (java === undefined || mvn === undefined || repository === undefined) return undefined;
  return { java, mvn, repository };
}

/**
 * The folder of Debian's libonnx-testdata that holds `node/`, `simple/` and others, each with folders of `model.onnx`
 * and `test_data_set_0/{input,output}_N.pb`; `undefined` where it is not installed.
 */
export function onnxTestData(): string | undefined {
  const roots = [...folders.map((folder) => path.join(folder, 'onnx-test-data')), '/'];
  return roots.map((root) => path.join(root, 'usr/share/libonnx-testdata/data')).find((data) => existsSync(data));
}

/** The file of all-MiniLM-L6-v2, a text encoder of 23 MB whose weights have 8 bits; `undefined` where it is not installed. */
export function miniLm(): Uint8Array | undefined {
  return modelIn('minilm');
}

/** A folder with that file and its tokenizer, as examples/search downloads it; `undefined` where it is not installed. */
export function searchModel(): string | undefined {
  const roots = folders.map((folder) => path.join(folder, 'minilm'));
  const found = roots.find(
    (each) => existsSync(path.join(each, 'model.onnx')) && existsSync(path.join(each, 'tokenizer.json')),
  );
  if (found === undefined) console.warn('SKIPPED: all-MiniLM-L6-v2 is not installed (test/tools/setup.sh does)');
  return found;
}

/** The file of Magika, a classifier of file types of 3 MB; `undefined` where it is not installed. */
export function magika(): Uint8Array | undefined {
  return modelIn('magika');
}

/** Python with the tokenizers in Rust, and a folder with all-MiniLM-L6-v2 but its ONNX file; `undefined` where one is not installed. */
export function rustTokenizers(): { readonly python: string; readonly folder: string } | undefined {
  const root = folders
    .map((folder) => path.join(folder, 'tokenizers'))
    .find((each) => existsSync(`${each}/bin/python`));
  const folder = root && path.join(root, 'all-minilm-l6-v2');
  if (root === undefined || folder === undefined || !existsSync(path.join(folder, 'model.safetensors')))
    return undefined;
  return { python: path.join(root, 'bin/python'), folder };
}

/** The file of OpenAI's client for Node. */
export function openAiClient(): string | undefined {
  return folders
    .map((folder) => path.join(folder, 'openai/node_modules/openai/index.mjs'))
    .find((file) => existsSync(file));
}

/** The file of LangChain's package for OpenAI's API. Says so where there is none. */
export function langChainOpenAi(): string | undefined {
  const found = folders
    .map((folder) => path.join(folder, 'langchain/node_modules/@langchain/openai/dist/index.js'))
    .find((file) => existsSync(file));
  if (found === undefined) console.warn('SKIPPED: @langchain/openai is not installed (test/tools/setup.sh does)');
  return found;
}

/** A Python interpreter with Pillow and Hugging Face's processors of images. */
export function pythonWithImageProcessors(): string | undefined {
  return pythonWith('image-processors', 'transformers, PIL');
}

function modelIn(tool: string): Uint8Array | undefined {
  const file = folders.map((folder) => path.join(folder, tool, 'model.onnx')).find((each) => existsSync(each));
  return file === undefined ? undefined : readFileSync(file);
}

/** A Python interpreter that can import `tritonclient.grpc` and `tritonclient.http`. */
export function pythonWithTritonClient(): string | undefined {
  return pythonWith('python', 'tritonclient.grpc, tritonclient.http');
}

/** A Python interpreter that can import `kserve`. */
export function pythonWithKserve(): string | undefined {
  return pythonWith('kserve', 'kserve');
}

function pythonWith(environment: string, modules: string): string | undefined {
  const interpreters = [...folders.map((folder) => path.join(folder, environment, 'bin/python')), 'python3'];
  return interpreters.find((python) => spawnSync(python, ['-c', `import ${modules}`]).status === 0);
}

/** @param directory of the program among the installed tools. */
function program(directory: string, name: string): string | undefined {
  const installed = folders.map((folder) => path.join(folder, directory));
  const directories = [...installed, ...(process.env['PATH'] ?? '').split(path.delimiter)];
  return directories.map((each) => path.join(each, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
