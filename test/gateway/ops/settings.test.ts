import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SETTINGS } from '../../../src/gateway/ops/setting-description.ts';
import { type Settings, tenantWeights } from '../../../src/gateway/ops/settings.ts';
import { SettingsError } from '../../../src/gateway/ops/settings-error.ts';
import { describeSettings, loadSettings } from '../../../src/gateway/ops/settings-loading.ts';
import { readSources, type SettingsSources } from '../../../src/gateway/ops/settings-sources.ts';

let cwd: string;

beforeEach(() => {
  cwd = mkdtempSync(path.join(tmpdir(), 'tensorgate-settings-'));
});

afterEach(() => {
  rmSync(cwd, { recursive: true });
});

function load(sources: Partial<SettingsSources> = {}): Settings {
  const { flags = {}, ...rest } = sources;
  return loadSettings({ env: {}, cwd, flags: { modelRepository: 'models', ...flags }, ...rest });
}

function problemsOf(sources: Partial<SettingsSources>): readonly string[] {
  try {
    load(sources);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  throw new Error('the settings were accepted');
}

function writeYaml(text: string, name = 'tensorgate.yaml'): string {
  writeFileSync(path.join(cwd, name), text);
  return name;
}

describe('precedence', () => {
  test('a setting that no one names has its default', () => {
    const settings = load();
    expect(settings.grpcPort).toBe(8001);
    expect(settings.executionProviders).toEqual(['cpu']);
    expect(settings.mailboxDirectory).toBe('/dev/shm');
  });

  test('the file is above the default, the environment above the file, a flag above all', () => {
    writeYaml('host: 10.0.0.1\ngrpcPort: 1\nhttpPort: 1\n');
    const env = { TENSORGATE_GRPC_PORT: '2', TENSORGATE_HTTP_PORT: '2' };
    const settings = load({ env, flags: { httpPort: '3' } });
    expect(settings).toMatchObject({ host: '10.0.0.1', grpcPort: 2, httpPort: 3, logLevel: 'info' });
  });

  test('LOG_LEVEL applies, below TENSORGATE_LOG_LEVEL', () => {
    expect(load({ env: { LOG_LEVEL: 'debug' } }).logLevel).toBe('debug');
    expect(load({ env: { LOG_LEVEL: 'debug', TENSORGATE_LOG_LEVEL: 'error' } }).logLevel).toBe('error');
  });

  test('variables of Vertex AI apply, below ours, and values that are none of ours are ignored', () => {
    const env = {
      AIP_HTTP_PORT: '8080',
      AIP_HEALTH_ROUTE: '/v1/endpoints/7',
      AIP_PREDICT_ROUTE: '/v1/endpoints/7:predict',
    };
    expect(load({ env })).toMatchObject({
      httpPort: 8080,
      healthRoute: '/v1/endpoints/7',
      predictRoute: '/v1/endpoints/7:predict',
    });
    expect(load({ env: { ...env, TENSORGATE_HTTP_PORT: '9' } }).httpPort).toBe(9);
    expect(load({ env: { AIP_HTTP_PORT: 'tcp', AIP_PREDICT_ROUTE: 'predict' } })).not.toHaveProperty('predictRoute');
  });

  test('LOG_LEVEL is in capitals on many platforms, and an unknown level is ignored', () => {
    expect(load({ env: { LOG_LEVEL: 'DEBUG' } }).logLevel).toBe('debug');
    for (const level of ['notice', 'VERBOSE', '20', 'app=debug,*=info', 'constructor']) {
      expect(load({ env: { LOG_LEVEL: level } }).logLevel).toBe('info');
    }
  });

  test('a variable may have white space around it, as files of secrets have, and one of white space says nothing', () => {
    const env = {
      TENSORGATE_GRPC_PORT: '7\n',
      TENSORGATE_LOG_FORMAT: ' text ',
      LOG_LEVEL: 'debug\r\n',
      TENSORGATE_HOST: ' ',
    };
    expect(load({ env })).toMatchObject({ grpcPort: 7, logFormat: 'text', logLevel: 'debug', host: '127.0.0.1' });
  });

  test('choices are taken in capitals: in variables, flags and the file', () => {
    writeYaml('logFormat: TEXT\nexecutionProviders: [CUDA, Cpu]\n');
    const settings = load({ env: { TENSORGATE_LOG_LEVEL: 'WARN' }, flags: { rest: 'OFF' } });
    expect(settings).toMatchObject({
      logFormat: 'text',
      executionProviders: ['cuda', 'cpu'],
      logLevel: 'warn',
      rest: 'off',
    });
  });

  test.each(['\ufeff', '\ufeff\r\n'])('the file may begin with a byte order mark: %j', (start) => {
    writeYaml(`${start}grpcPort: 7\r\nhttpPort: 8\r\n`);
    expect(load({})).toMatchObject({ grpcPort: 7, httpPort: 8 });
  });

  test('the file may be UTF-16, as a shell of Windows writes it', () => {
    writeFileSync(path.join(cwd, 'tensorgate.yaml'), Buffer.from('\ufeffgrpcPort: 7\r\n', 'utf16le'));
    expect(load({}).grpcPort).toBe(7);
  });

  test('the origin of each value is known', () => {
    writeYaml('host: 10.0.0.1\n');
    const described = describeSettings(
      readSources({ cwd, env: { TENSORGATE_GRPC_PORT: '2' }, flags: { httpPort: 3 } }),
    );
    expect(described).toContainEqual({ key: 'host', value: '10.0.0.1', origin: 'tensorgate.yaml:1:7' });
    expect(described).toContainEqual({ key: 'grpcPort', value: 2, origin: 'TENSORGATE_GRPC_PORT' });
    expect(described).toContainEqual({ key: 'httpPort', value: 3, origin: '--http-port' });
    expect(described).toContainEqual({ key: 'logFormat', value: 'json', origin: 'default' });
    expect(described).toContainEqual({ key: 'modelRepository', value: undefined, origin: 'default' });
    expect(described.map(({ key }) => key)).toEqual(SETTINGS.map(({ key }) => key));
  });
});

describe('the file', () => {
  test('a value of the wrong type is refused with its place', () => {
    writeYaml('# settings\nhost: localhost\ngrpcPort: "8001"\n');
    const [problem, ...others] = problemsOf({});
    expect(problem).toMatch(/^tensorgate\.yaml:3:11: grpcPort: .*expected number, received string$/);
    expect(others).toEqual([]);
  });

  test('an unknown key is refused with its place and the nearest known one', () => {
    writeYaml('grpcPort: 1\nmaxInflightBytes: 5\n');
    expect(problemsOf({})).toEqual([expect.stringMatching(/^tensorgate\.yaml:2:\d+: maxInflightBytes: /)]);
    expect(problemsOf({})[0]).toContain("did you mean 'maxInFlightBytes'?");
  });

  test('a file that is not YAML is refused with its place', () => {
    writeYaml('host: [1\n');
    expect(problemsOf({})[0]).toMatch(/^tensorgate\.yaml:\d+:\d+: /);
  });

  test('a file that was asked for has to exist; tensorgate.yaml does not', () => {
    expect(problemsOf({ file: 'other.yaml' })).toEqual(['other.yaml: cannot be read: ENOENT']);
    expect(load().host).toBe('127.0.0.1');
  });

  test('an explicit file replaces tensorgate.yaml', () => {
    writeYaml('grpcPort: 1\nhttpPort: 1\n');
    expect(load({ file: writeYaml('grpcPort: 2\n', 'other.yaml') })).toMatchObject({ grpcPort: 2, httpPort: 8002 });
  });

  test('paths in it are relative to it, paths in flags to the working directory', () => {
    const elsewhere = mkdtempSync(path.join(tmpdir(), 'tensorgate-settings-'));
    const file = path.join(elsewhere, 'gate.yaml');
    writeFileSync(file, 'modelRepository: models\nmailboxDirectory: mail\n');
    const settings = loadSettings({ cwd, env: {}, flags: { mailboxDirectory: 'here' }, file });
    expect(settings.modelRepository).toBe(path.join(elsewhere, 'models'));
    expect(settings.mailboxDirectory).toBe(path.join(cwd, 'here'));
    rmSync(elsewhere, { recursive: true });
  });

  test('an empty file says nothing', () => {
    writeYaml('# nothing yet\n');
    expect(load().grpcPort).toBe(8001);
  });
});

describe('the environment', () => {
  test.each([
    ['TENSORGATE_GRPC_PORT', '80x', "expected a whole number from 0 to 65535, got '80x'"],
    ['TENSORGATE_GRPC_PORT', '70000', "expected a whole number from 0 to 65535, got '70000'"],
    ['TENSORGATE_GRPC_PORT', '8001.5', "expected a whole number from 0 to 65535, got '8001.5'"],
    ['TENSORGATE_MAX_IN_FLIGHT_BYTES', '-1', "expected a whole number from 1, got '-1'"],
    ['TENSORGATE_STRICT_EXECUTION_PROVIDERS', 'yes', "expected true or false, got 'yes'"],
    ['TENSORGATE_EXECUTION_PROVIDERS', 'cuda,gpu', "some of cpu, cuda, tensorrt, separated by commas, got 'cuda,gpu'"],
    ['TENSORGATE_LOG_LEVEL', 'wran', "did you mean 'warn'?"],
  ])('%s=%s is refused by its name', (name, value, text) => {
    const problems = problemsOf({ env: { [name]: value } });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`${name}: `);
    expect(problems[0]).toContain(text);
  });

  test('texts become what they stand for', () => {
    const env = { TENSORGATE_STRICT_EXECUTION_PROVIDERS: 'true', TENSORGATE_EXECUTION_PROVIDERS: 'tensorrt, cuda,cpu' };
    const settings = load({ env });
    expect(settings.strictExecutionProviders).toBe(true);
    expect(settings.executionProviders).toEqual(['tensorrt', 'cuda', 'cpu']);
  });

  test('an unknown variable of ours is refused with the nearest known one, any other is ignored', () => {
    expect(problemsOf({ env: { TENSORGATE_GRPC_PROT: '1', GRPC_PROT: '1' } })).toEqual([
      "TENSORGATE_GRPC_PROT: there is no such setting; did you mean 'TENSORGATE_GRPC_PORT'?",
    ]);
  });

  test('an empty variable counts as absent', () => {
    expect(load({ env: { TENSORGATE_GRPC_PORT: '', TENSORGATE_NO_SUCH: '' } }).grpcPort).toBe(8001);
  });

  test('variables of Kubernetes for Services named tensorgate and tensorgate-grpc are no settings', () => {
    const env = {
      TENSORGATE_SERVICE_HOST: '10.96.0.7',
      TENSORGATE_SERVICE_PORT: '8001',
      TENSORGATE_SERVICE_PORT_GRPC: '8001',
      TENSORGATE_PORT: 'tcp://10.96.0.7:8001',
      TENSORGATE_PORT_8001_TCP: 'tcp://10.96.0.7:8001',
      TENSORGATE_PORT_8001_TCP_PROTO: 'tcp',
      TENSORGATE_PORT_8001_TCP_PORT: '8001',
      TENSORGATE_PORT_8001_TCP_ADDR: '10.96.0.7',
      TENSORGATE_GRPC_SERVICE_HOST: '10.96.0.8',
      TENSORGATE_GRPC_PORT: 'tcp://10.96.0.8:8001',
    };
    expect(load({ env }).grpcPort).toBe(8001);
  });

  test('the variable of the client commands is none of the server', () => {
    expect(load({ env: { TENSORGATE_URL: 'gate:8001' } }).host).toBe('127.0.0.1');
  });
});

describe('flags', () => {
  test('values may be texts or parsed already', () => {
    const flags = { grpcPort: 7, httpPort: '8', executionProviders: ['cuda'], strictExecutionProviders: true };
    expect(load({ flags })).toMatchObject({ ...flags, httpPort: 8 });
  });

  test('an illegal value is refused by the name of the flag', () => {
    expect(problemsOf({ flags: { typedAnswers: 'allways' } })).toEqual([
      "--typed-answers: expected one of as-requested, never, got 'allways'",
    ]);
  });
});

test('every problem is reported at once', () => {
  writeYaml('prot: 1\n');
  const problems = problemsOf({ env: { TENSORGATE_HTTP_PORT: 'x' }, flags: { grpcPort: 'y' } });
  expect(problems.map((problem) => problem.split(':')[0])).toEqual([
    'tensorgate.yaml',
    'TENSORGATE_HTTP_PORT',
    '--grpc-port',
  ]);
});

test('without a model repository, the error says the three ways to give one', () => {
  expect(() => loadSettings({ cwd, env: {}, flags: {} })).toThrow(
    /--model-repository DIR, TENSORGATE_MODEL_REPOSITORY or modelRepository in tensorgate\.yaml/,
  );
});

test('every contradiction between settings is reported at once, each with its source', () => {
  const env = { TENSORGATE_RECORD: '10', TENSORGATE_LOAD_ON_DEMAND: 'true' };
  const problems = problemsOf({ env, flags: { transport: 'grpc-js', http2MaxConnections: '10' } });
  expect(problems).toEqual([
    'TENSORGATE_LOAD_ON_DEMAND: loadOnDemand is for modelControlMode explicit, not none',
    '--http2-max-connections: http2MaxConnections is for the transport h2',
    'TENSORGATE_RECORD: record needs recordDirectory: say where rows are kept',
  ]);
});

test.each<[Record<string, string>, readonly string[]]>([
  [
    { controlPrincipals: 'DNS:a' },
    ['--control-principals: --control-principals needs --tls-client-ca: without it no client proves its identity'],
  ],
  [{ tlsClientCa: 'ca.pem' }, ['--tls-client-ca: --tls-client-ca needs --tls-certificate and --tls-private-key']],
  [
    { tlsCertificate: 'c.pem' },
    ['--tls-certificate: --tls-certificate and --tls-private-key go together: give both, or none'],
  ],
  [
    { tlsPrivateKey: 'k.pem' },
    ['--tls-private-key: --tls-certificate and --tls-private-key go together: give both, or none'],
  ],
  [
    { tlsCertificate: 'c.pem', tlsPrivateKey: 'k.pem', transport: 'grpc-js' },
    ['--transport: TLS needs the transport h2: remove --transport'],
  ],
  [
    { tlsCertificate: 'c.pem', controlPrincipals: 'DNS:a', transport: 'grpc-js' },
    [
      '--control-principals: --control-principals needs --tls-client-ca: without it no client proves its identity',
      '--tls-certificate: --tls-certificate and --tls-private-key go together: give both, or none',
      '--transport: TLS needs the transport h2: remove --transport',
    ],
  ],
])('settings of TLS that do not go together are contradictions: %j', (flags, problems) => {
  expect(problemsOf({ flags })).toEqual(problems);
});

test('settings cannot be changed', () => {
  const settings = load();
  expect(Object.isFrozen(settings)).toBe(true);
  expect(Object.isFrozen(settings.executionProviders)).toBe(true);
  expect(Object.isFrozen(load().executionProviders)).toBe(true);
});

describe('tenants', () => {
  test('are distinguished where a key is named, and have the weights that are listed', () => {
    const settings = load({
      env: { TENSORGATE_TENANT_KEY: 'x-tenant', TENSORGATE_TENANT_WEIGHTS: 'gold=4, slow=0.5' },
    });
    expect(settings.tenantKey).toBe('x-tenant');
    expect(tenantWeights(settings)).toEqual(
      new Map([
        ['gold', 4],
        ['slow', 0.5],
      ]),
    );
    expect(load().tenantKey).toBe('');
    expect(tenantWeights(load())).toEqual(new Map());
  });

  test.each(['gold', 'gold=', '=1', 'gold=0', 'gold=0.0', 'gold=-1', 'gold=1e3', 'gold=1=2', 'gold=.5.'])(
    'have no weight such as %s',
    (text) => {
      const expected = `--tenant-weights: expected texts of the form name=weight, separated by commas, got '${text}'`;
      expect(problemsOf({ flags: { tenantWeights: text } })).toEqual([expected]);
    },
  );

  test.each(['X-Tenant', 'x-tenant-bin', 'x tenant'])('are not named by a key such as %s', (key) => {
    const expected = `--tenant-key: expected a metadata key in lower case, not one that ends in -bin, got '${key}'`;
    expect(problemsOf({ flags: { tenantKey: key } })).toEqual([expected]);
  });
});

describe('models that are loaded at the start', () => {
  test('are names, separated by commas', () => {
    const flags = { modelControlMode: 'explicit', loadModel: 'a, b' };
    expect(load({ flags }).loadModel).toEqual(['a', 'b']);
    expect(load({ env: { TENSORGATE_MODEL_CONTROL_MODE: 'explicit', TENSORGATE_LOAD_MODEL: '*' } }).loadModel).toEqual([
      '*',
    ]);
  });

  test('are for a server that is controlled', () => {
    expect(problemsOf({ flags: { loadModel: 'a' } })).toEqual([
      '--load-model: loadModel is for modelControlMode explicit, not none',
    ]);
    expect(problemsOf({ flags: { loadOnDemand: true, modelControlMode: 'poll' } })).toEqual([
      '--load-on-demand: loadOnDemand is for modelControlMode explicit, not poll',
    ]);
  });
});

describe('REST beside gRPC that demands client certificates', () => {
  const mtls = { tlsCertificate: 'c.pem', tlsPrivateKey: 'k.pem', tlsClientCa: 'ca.pem' };
  const refusal = /REST on the HTTP port would answer anyone in cleartext: give --rest off, or --rest on/;

  test.each([
    ['on loopback', { host: '127.0.0.1' }],
    ['on every address', { host: '0.0.0.0' }],
    ['with control principals', { controlPrincipals: 'DNS:deployer.example.com' }],
    ['with an admin port', { adminPort: '8003' }],
  ])('is refused where nothing says that it is wanted: %s', (_, flags) => {
    expect(problemsOf({ flags: { ...mtls, ...flags } })).toEqual([expect.stringMatching(refusal)]);
  });

  test.each([
    ['a flag', (rest: string) => load({ flags: { ...mtls, rest } })],
    ['the environment', (rest: string) => load({ flags: mtls, env: { TENSORGATE_REST: rest } })],
    ['the file', (rest: string) => load({ flags: mtls, file: writeYaml(`rest: '${rest}'\n`) })],
  ])('is as %s says', (_, settingsWith) => {
    expect(settingsWith('on').rest).toBe('on');
    expect(settingsWith('off').rest).toBe('off');
  });

  test('is refused by the name of the setting that demands certificates', () => {
    writeYaml('tlsCertificate: c.pem\ntlsPrivateKey: k.pem\n');
    expect(problemsOf({ env: { TENSORGATE_TLS_CLIENT_CA: 'ca.pem' } })[0]).toMatch(/^TENSORGATE_TLS_CLIENT_CA: /);
  });

  test('is on by default where gRPC asks no one for a certificate', () => {
    expect(load({ flags: { ...mtls, tlsClientCa: undefined } }).rest).toBe('on');
  });
});

test('REST may not take every connection of the HTTP port: probes and metrics need some', () => {
  const flags = { httpMaxConnections: '100', httpMaxRequests: '100' };
  expect(problemsOf({ flags })).toEqual([
    '--http-max-requests: httpMaxRequests 100 must be below httpMaxConnections 100: probes and metrics get the rest',
  ]);
  expect(load({ flags: { ...flags, httpMaxRequests: '99' } }).httpMaxRequests).toBe(99);
});

/** Names of other vocabularies: Triton's extensions and log settings, configurations of models, options of grpc-js. */
const NOT_OURS = new Set([
  'model_repository',
  'log_format',
  'execution_providers',
  'strict_execution_providers',
  'max_concurrent_streams',
  'objective_ms',
]);

test('errors call a setting by the name that the file takes, so that it can be copied from there', () => {
  const others = SETTINGS.map(({ key }) => key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
  const names = new RegExp(
    `\\b(${others.filter((name) => name.includes('_') && !NOT_OURS.has(name)).join('|')})\\b`,
    'g',
  );
  const files = globSync('src/**/*.ts');
  expect(files.length).toBeGreaterThan(300);
  const found = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(names)].map(([name]) => `${file}: ${name}`),
  );
  expect(found).toEqual([]);
});
