import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { SETTINGS } from '../../src/gateway/ops/setting-description.ts';
import { runCommandLine } from './command-line.ts';

test('--version prints the version of the package', async () => {
  expect(await runCommandLine(['--version'])).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: '' });
});

test('--help lists the commands on stdout', async () => {
  const { code, stdout, stderr } = await runCommandLine(['--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const command of ['serve', 'doctor', 'infer', 'models']) expect(stdout).toContain(`\n  ${command} [options]`);
});

test('serve --help shows each setting with its default and its variable', async () => {
  const { code, stdout } = await runCommandLine(['serve', '--help']);
  expect(code).toBe(0);
  const text = stdout.replace(/\s+/g, ' ');
  for (const { flag, env, description, derivedDefault, default: value } of SETTINGS) {
    expect(text).toContain(` ${flag} `);
    expect(text).toContain(description.replace(/\s+/g, ' '));
    const shown = derivedDefault?.replaceAll('`', '') ?? (String(value) === '' ? 'none' : value);
    expect(text).toContain(shown === undefined ? `(env: ${env})` : `default: ${shown}, env: ${env})`);
  }
});

test('serve --help begins with the ten options that most people use, and every other one has a heading', async () => {
  const { stdout } = await runCommandLine(['serve', '--help']);
  const [first = '', ...groups] = stdout.slice(stdout.indexOf('\nOptions:\n') + 1).split(/^(?=[A-Z][\w, ]+:$)/m);
  expect([...first.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, flag]) => flag).toSorted()).toEqual([
    '--config',
    '--execution-providers',
    '--grpc-port',
    '--host',
    '--http-port',
    '--load-model',
    '--log-level',
    '--model-control-mode',
    '--model-repository',
    '--print-config',
  ]);
  expect(groups.length).toBeGreaterThan(5);
  expect(stdout).not.toContain('Other settings:');
});

test.each([
  [],
  ['serve'],
  ['doctor'],
  ['infer'],
  ['bench'],
  ['compress'],
  ['golden', 'record'],
  ['models'],
  ['models', 'validate'],
  ['models', 'shadow'],
  ['rollout'],
  ['rollout', 'start'],
  ['completion'],
])('the help of %j %j fits into 80 columns', async (...command) => {
  const { code, stdout } = await runCommandLine([...command, '--help']);
  expect(code).toBe(0);
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

test.each([
  ['infer', '--url', '(default: "127.0.0.1:8001", env: TENSORGATE_URL)'],
  ['models', '--url', '(default: "127.0.0.1:8001", env: TENSORGATE_URL)'],
  ['infer', '--top', '(default: 1)'],
])('%s --help shows the default of %s', async (command, flag, text) => {
  const { stdout } = await runCommandLine([command, '--help']);
  expect(stdout).toContain(flag);
  expect(stdout.replace(/\s+/g, ' ')).toContain(text);
});

test('no command at all is answered with the help, on stderr', async () => {
  const { code, stdout, stderr } = await runCommandLine([]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^Usage: tensorgate/);
});

test.each([
  [['srve'], "error: unknown command 'srve'\n(Did you mean serve?)\n"],
  [['models', 'validat', 'x'], "error: unknown command 'models validat'; did you mean 'validate'?\n"],
  [['golden', 'recrod'], "error: unknown command 'recrod'\n(Did you mean record?)\n"],
  [['serve', '--grpc-prot', '1'], "error: unknown option '--grpc-prot'\n(Did you mean --grpc-port?)\n"],
  [['infer', 'm'], 'error: no input: give --image FILE, --json FILE or --raw NAME=FILE\n'],
  [['infer', '--image', 'a.png'], "error: missing required argument 'model'\n"],
  [
    ['infer', 'm', '--json', 'a', '--image', 'b'],
    "error: option '--image <file...>' cannot be used with option '--json <file>'\n",
  ],
  [
    ['infer', 'm', '--image', 'a', '--top', '0'],
    "error: option '--top <k>' argument '0' is invalid. Expected a whole number above 0.\n",
  ],
  [
    ['infer', 'm', '--raw', 'x.bin'],
    "error: option '--raw <name=file...>' argument 'x.bin' is invalid. Expected NAME=VALUE.\n",
  ],
  [
    ['infer', 'm', '--raw', 'x=a', '--shape', 'x=a'],
    "error: option '--shape <name=sizes...>' argument 'x=a' is invalid. Sizes are whole numbers: x=1,3,32,32.\n",
  ],
])('a wrong command line ends with 2, and one line that says why: %j', async (args, text) => {
  expect(await runCommandLine(args)).toEqual({ code: 2, stdout: '', stderr: text });
});

test('the help loads the settings, but no code of commands or model repositories', () => {
  const program = new URL('../../src/cli/program.ts', import.meta.url).href;
  const listing = `
    const urls = [];
    require('node:module').registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) });
    import(${JSON.stringify(program)}).then(() => console.log(urls.join('\\n')));
  `;
  const root = fileURLToPath(new URL('../../src/', import.meta.url));
  const loaded = execFileSync(process.execPath, ['--input-type=commonjs', '--eval', listing], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((url) => url.replace(`file://${root}`, ''));
  expect(loaded).toContain('gateway/ops/setting-description.ts');
  const commands =
    /^cli\/(serve|doctor|infer|bench\/run-bench|compress|golden|models|shadow|validate|rollout|emit-istio)\.ts$/;
  expect(loaded.filter((name) => commands.test(name))).toEqual([]);
  expect(loaded.filter((name) => name.startsWith('gateway/repository/'))).toEqual([]);
});
