/**
 * Every command on every page runs literally as printed: here, in the test that is named, or not here for the reason that is
 * named. A command that no rule covers fails, and so does a rule without a command.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { addressedTo, MODELS, runDocumented } from '../interop/documented.ts';
import { startServer } from '../support/server.ts';
import { grpcurl } from '../tools/tools.ts';
import { commandsOf, pages, printedCommands, untaggedCommands } from './printed-commands.ts';

const ROOT = path.join(import.meta.dirname, '../..');

interface Rule {
  readonly commands: RegExp;
  /** `here`, beside a server of `models`; or the test file that runs it. */
  readonly runs?: string;
  /** Exit codes that are right, where 0 is not the only one. */
  readonly codes?: readonly number[];
  /** The program that it needs; `undefined` skips it. */
  readonly tool?: string | undefined;
  /** Why it cannot run here. */
  readonly needs?: string;
}

/** Runs the first blocks of pages one after the other, as a reader does. */
const WALK = 'test/docs/first-commands.full.test.ts';

const RULES: readonly Rule[] = [
  { commands: /^npx tensorgate serve .*--print-config$/, runs: 'here' },
  { commands: /^npx tensorgate serve .*--model-control-mode explicit/, runs: 'start' },
  { commands: /^npx tensorgate serve --model-repository models$/, runs: 'start' },
  { commands: /^npx tensorgate serve models(\/cifar10\/1\/model\.onnx)?$/, runs: 'start' },
  { commands: /^npx tensorgate serve --model-repository models &$/, runs: 'test/examples/mesh-callers.test.ts' },
  { commands: /^npx tensorgate serve .*--log-format json/, runs: 'start' },
  { commands: /^npx tensorgate serve .*--http-port 8000$/, runs: 'start' },
  { commands: /^npx tensorgate serve exported\.onnx$/, needs: 'a model that the reader has exported' },
  { commands: /^npx tensorgate serve minilm$/, needs: 'a folder that the reader has exported' },
  { commands: /^npx tensorgate serve resnet$/, needs: 'a folder that the reader has exported' },
  { commands: /^curl -s \S+\/v2\/models\/resnet\//, runs: 'test/e2e/image.full.test.ts' },
  { commands: /^curl -s \S+\/(ping$|invocations )/, runs: 'test/e2e/platforms.full.test.ts' },
  { commands: /^curl -s \S+\/(v2\/models\/minilm|v1)\//, runs: 'test/e2e/text-endpoints.full.test.ts' },
  { commands: /--allow-code-models$|\/v2\/models\/word_count\/infer/, runs: 'test/e2e/code-models.full.test.ts' },
  { commands: /^npx tensorgate bench\b/, runs: 'test/cli/bench/bench-server.full.test.ts' },
  { commands: /^npx tensorgate client generate\b/, runs: 'test/cli/generate-client.test.ts' },
  { commands: /^npm i \.\/tensorgate-client/, runs: 'test/deploy/client-package.test.ts' },
  {
    commands: /^(pip install|optimum-cli|python -m tf2onnx)/,
    needs: 'exporters of several GB; the page has the versions',
  },
  { commands: /^export OTEL_/, runs: 'start' },
  { commands: /^npx tensorgate serve .*--record /, needs: 'a client that sends data to record' },
  { commands: /^npx tensorgate models --url (grpcs:|10\.)/, needs: 'a server of the reader, and its certificates' },
  // An unknown model.
  { commands: /^npx tensorgate infer resnet\b/, runs: 'here', codes: [1] },
  { commands: /^npx tensorgate (infer|models|explain)\b/, runs: 'here' },
  // Without a GPU it finds that the libraries of CUDA are missing, and exits with 1 or 0 by its other findings.
  { commands: /^npx tensorgate doctor\b/, runs: 'here', codes: [0, 1] },
  { commands: /^npx tensorgate rollout .*--emit istio(?! --step)/, runs: 'here' },
  {
    commands: /\/tmp\/models|^while npx tensorgate infer|^npx tensorgate rollout (status|.*--dry-run|.*--hold 5s)/,
    runs: WALK,
  },
  { commands: /^npx tensorgate rollout [\s\S]*kubectl/, needs: 'a cluster' },
  { commands: /^npx tensorgate compress [\s\S]*\/tmp\/cifar10-report$/, runs: WALK },
  { commands: /^npx tensorgate compress\b/, needs: 'images that are not in the repository' },
  { commands: /^curl -s \S+\/(metrics|readyz|v2\/models\/cifar10)$/, runs: 'here' },
  { commands: /^(pixels=|curl --fail)/, runs: 'test/interop/curl.test.ts' },
  { commands: /^(image=|grpcurl .*-d @)/, runs: 'test/interop/grpcurl.test.ts' },
  {
    commands: /^grpcurl .*( list$|tensorgate\.v1\.Traffic|\/Repository(Index|ModelLoad)$)/,
    runs: 'here',
    tool: grpcurl(),
  },
  // It reads reports until its time is over: 64 and DEADLINE_EXCEEDED.
  { commands: /^grpcurl .*OpenRcaService/, runs: 'here', tool: grpcurl(), codes: [68] },
  { commands: /^grpcurl .*(svc\.cluster\.local|…)/s, needs: 'a cluster' },
  { commands: /^grpcurl .*tensorgate\.v1\.Rollout/, needs: 'a new version without traffic' },
  { commands: /^ghz /, runs: 'test/interop/ghz.test.ts' },
  { commands: /^grpc-health-probe /, runs: 'test/interop/grpc-health-probe.test.ts' },
  { commands: /^perf_analyzer /, runs: 'test/interop/perf-analyzer.test.ts' },
  { commands: /^model-analyzer /, runs: 'test/interop/model-analyzer.test.ts' },
  { commands: /^(cd test\/interop\/go-client|buf generate|go run \.)/, runs: 'test/interop/go-client.test.ts' },
  { commands: /^(cd test\/interop\/java-client|mvn |java -jar)/, runs: 'test/interop/java-client.test.ts' },
  {
    commands: /^(node|python) examples\/mesh\/client|^examples\/mesh\/client\.sh/,
    runs: 'test/examples/mesh-callers.test.ts',
  },
  { commands: /^npm run simulate -- --help$/, runs: 'here' },
  { commands: /^npm run simulate\b/, runs: 'test/bench/simulate' },
  { commands: /^npm run lint:words\b/, runs: 'here' },
  { commands: /^npm run demo:rollout\b/, runs: 'test/examples/rollout-demo.test.ts' },
  { commands: /^npm run demo:text\b/, runs: 'test/examples/search-demo.test.ts' },
  {
    commands: /^npm run (demo|check|format|bench|fuzz|gen|test:all)\b|^npm test\b|^npx vitest /,
    needs: 'minutes, or this very suite',
  },
  { commands: /^npm run -s render\b/, runs: 'test/deploy/render.test.ts' },
  { commands: /^npm run (-s )?lint:deploy\b/, runs: 'test/deploy/readme.test.ts' },
  { commands: /^npm run test:mesh\b/, needs: 'root, Go and Python' },
  { commands: /^npm (ci|install)\b/, needs: 'the network' },
  { commands: /^docker /, needs: 'a container engine' },
  { commands: /^helm (lint|template) /, runs: 'test/deploy/chart.test.ts' },
  { commands: /^npm run chart$/, runs: 'test/deploy/chart.test.ts' },
  { commands: /^npm run grafana$/, runs: 'test/deploy/grafana.test.ts' },
  { commands: /^(kubectl|istioctl|helm) /, needs: 'a cluster' },
  { commands: /^ONNXRUNTIME_NODE_INSTALL=/, needs: 'NuGet' },
  { commands: /^(python3|\.venv\/bin\/|python train\.py)/, needs: 'PyTorch and the CIFAR-10 images' },
  { commands: /^npx node (quantize|evaluate)\.ts/, needs: 'the CIFAR-10 images' },
  { commands: /^node examples\/(ocr\/demo|search\/compress)\.ts/, needs: 'models from the network' },
];

const COMMANDS = printedCommands();

function ruleOf(text: string): Rule | undefined {
  const command = text.replace(/\s+# .*$/s, '').trim();
  return RULES.find(({ commands }) => commands.test(command));
}

test('every command of every page has a rule, and every rule has a command', () => {
  expect(COMMANDS.length).toBeGreaterThan(60);
  const uncovered = COMMANDS.filter(({ text }) => ruleOf(text) === undefined);
  expect(uncovered.map(({ page, line, text }) => `${page}:${line}: ${text}`)).toEqual([]);
  const used = new Set(COMMANDS.map(({ text }) => ruleOf(text)));
  expect(RULES.filter((rule) => !used.has(rule)).map(({ commands }) => String(commands))).toEqual([]);
});

test('the tests that run commands exist', () => {
  const files = RULES.flatMap(({ runs = 'here' }) => (runs.startsWith('test/') ? [runs] : []));
  expect(files.filter((file) => !fs.existsSync(path.join(ROOT, file)))).toEqual([]);
});

test('blocks with commands are tagged sh', () => {
  const untagged = pages().flatMap((page) =>
    untaggedCommands(fs.readFileSync(path.join(ROOT, page), 'utf8')).map((line) => `${page}:${line}`),
  );
  expect(untagged).toEqual([]);
});

test('continuation lines, here-documents and quotes belong to one command', () => {
  const source = "```sh\na \\\n  b\nc |\n  d\ne <<END\nx\nEND\nf '[\n1]'\n# a comment\ng  # why\n```\n```\nno\n```";
  expect(commandsOf('p', source).map(({ line, text }) => [line, text])).toEqual([
    [2, 'a \\\n  b'],
    [4, 'c |\n  d'],
    [6, 'e <<END\nx\nEND'],
    [9, "f '[\n1]'"],
    [11, '# a comment'],
    [12, 'g  # why'],
  ]);
});

describe('beside a server', () => {
  const runnable = [...new Set(COMMANDS.map(({ text }) => text))].filter((text) => {
    const rule = ruleOf(text);
    return rule?.runs === 'here' && (!('tool' in rule) || rule.tool !== undefined);
  });

  test('commands run as printed', { timeout: 300_000 }, async () => {
    await using server = await startServer(MODELS, {
      flags: ['--log-level', 'error', '--model-control-mode', 'explicit', '--load-model', '*'],
    });
    const failures: string[] = [];
    for (const text of runnable) {
      const addressed = addressedTo(server, text.replaceAll('127.0.0.1:800', 'localhost:800'));
      const { code, stdout, stderr } = await runDocumented(
        server,
        addressed,
        [process.execPath, ruleOf(text)?.tool ?? process.execPath],
        ROOT,
        {
          TENSORGATE_URL: server.grpc,
        },
      );
      const right = ruleOf(text)?.codes ?? [0];
      if (!right.includes(code ?? -1) || (stdout === '' && stderr === ''))
        failures.push(`${text}\nended with ${code}:\n${stdout}${stderr}`);
    }
    expect(failures).toEqual([]);
  });
});

describe('a server', () => {
  const starts = [
    ...new Set(COMMANDS.filter(({ text }) => ruleOf(text)?.runs === 'start').map(({ text }) => text)),
  ].filter((text) => text.startsWith('npx'));

  test.each(starts)('starts as printed: %s', { timeout: 120_000 }, async (text) => {
    const PATH = `${path.dirname(process.execPath)}${path.delimiter}${process.env['PATH']}`;
    // Free ports: other servers of this machine may have the ports of the page.
    const env = { ...process.env, PATH, TENSORGATE_GRPC_PORT: '0', TENSORGATE_HTTP_PORT: '0' };
    const child = spawn('bash', ['--norc', '-c', `exec ${text.replace(/-port \d+/g, '-port 0')}`], {
      cwd: ROOT,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const closed = once(child, 'close');
    let isReady = false;
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.startsWith('tensorgate ready: ')) continue;
      isReady = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    }
    expect(isReady).toBe(true);
    await closed;
  });
});
