/** Envoy, between a client and servers, with a configuration that is written for it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { vi } from 'vitest';
import { envoy } from '../tools/tools.ts';

export interface EnvoyOptions {
  /** Servers on this machine, among which calls go round. */
  readonly ports: readonly number[];
  /** Envoy's `retry_on`, such as `unavailable`; by default nothing is retried. */
  readonly retryOn?: string;
  /** What a call may take, such as `0.2s`; by default any time. */
  readonly timeout?: string;
  /** The paths that are routed begin with it; by default all. */
  readonly prefix?: string;
  /** Calls that may be under way at a time. */
  readonly maxRequests?: number;
  /** Whether servers are weighed by what they report of their load, and whether beside answers or out of band; by default they are not. */
  readonly loadReports?: 'beside answers' | 'out of band';
  /** Whether every client is refused, as where no policy of authorization allows it. */
  readonly denies?: boolean;
  /** PEM files, where the servers are to be spoken to over TLS. */
  readonly tls?: {
    readonly authority: string;
    readonly identity?: { readonly certificate: string; readonly privateKey: string };
  };
}

const TYPE = 'type.googleapis.com/envoy';
const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': `${TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  },
};

/** Rules that allow nothing: `{}` would allow everything. */
const DENIAL = {
  name: 'envoy.filters.http.rbac',
  typed_config: { '@type': `${TYPE}.extensions.filters.http.rbac.v3.RBAC`, rules: { action: 'ALLOW', policies: {} } },
};

export class EnvoyProcess implements AsyncDisposable {
  /** Where it takes calls. */
  readonly port: number;
  readonly #admin: string;
  readonly #end: () => Promise<void>;

  private constructor(port: number, admin: string, end: () => Promise<void>) {
    this.port = port;
    this.#admin = admin;
    this.#end = end;
  }

  /** @throws Error with its log where it ends before it takes calls */
  static async start(options: EnvoyOptions): Promise<EnvoyProcess> {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-envoy-'));
    const config = path.join(directory, 'envoy.json');
    const address = path.join(directory, 'admin-address');
    fs.writeFileSync(config, JSON.stringify(bootstrap(options)));
    const args = ['-c', config, '--admin-address-path', address, '--disable-hot-restart', '--concurrency', '1'];
    const child = spawn(envoy() ?? '', [...args, '-l', 'warn'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const killWithTests = (): void => void child.kill('SIGKILL');
    process.once('exit', killWithTests);
    let log: string | undefined;
    const ended = Promise.all([once(child, 'exit'), text(child.stderr)]).then(([, said]) => {
      process.off('exit', killWithTests);
      log = said;
    });
    const end = async (): Promise<void> => {
      child.kill('SIGTERM');
      await ended;
      fs.rmSync(directory, { recursive: true });
    };
    try {
      const port = await vi.waitUntil(
        async () => {
          if (log !== undefined) throw new Error(`Envoy ended: ${log}`);
          return fs.existsSync(address) ? listenerPort(fs.readFileSync(address, 'utf8')) : undefined;
        },
        { timeout: 30_000, interval: 50 },
      );
      return new EnvoyProcess(port, fs.readFileSync(address, 'utf8'), end);
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** A counter or gauge of the servers, such as `upstream_rq_retry`. */
  async statistic(name: string): Promise<number> {
    const response = await fetch(`http://${this.#admin}/stats?filter=^cluster.servers.${name}$`);
    return Number((await response.text()).split(': ')[1]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end();
  }
}

/** `undefined` while it is not bound. */
async function listenerPort(admin: string): Promise<number | undefined> {
  try {
    const ready = await fetch(`http://${admin}/ready`);
    if (!ready.ok) return undefined;
    const { listener_statuses: listeners } = (await (await fetch(`http://${admin}/listeners?format=json`)).json()) as {
      listener_statuses: { local_address: { socket_address: { port_value: number } } }[];
    };
    return listeners[0]?.local_address.socket_address.port_value;
  } catch {
    return undefined; // the admin's address is not bound yet
  }
}

function bootstrap({
  ports,
  retryOn,
  timeout,
  prefix = '/',
  maxRequests,
  loadReports,
  denies,
  tls,
}: EnvoyOptions): object {
  const route = {
    cluster: 'servers',
    // Envoy makes its own timeout from the client's `grpc-timeout`, and passes the header on as well.
    timeout: timeout ?? '0s',
    ...(timeout === undefined && { max_stream_duration: { grpc_timeout_header_max: '0s' } }),
    ...(retryOn !== undefined && {
      retry_policy: {
        retry_on: retryOn,
        num_retries: 5,
        retry_back_off: { base_interval: '0.01s' },
        // Not to where it was refused.
        retry_host_predicate: [
          {
            name: 'envoy.retry_host_predicates.previous_hosts',
            typed_config: { '@type': `${TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate` },
          },
        ],
        host_selection_retry_max_attempts: 5,
      },
    }),
  };
  const manager = {
    '@type': `${TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    codec_type: 'HTTP2',
    stat_prefix: 'clients',
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          include_request_attempt_count: true,
          routes: [{ match: { prefix }, route }],
        },
      ],
    },
    http_filters: [
      ...(denies === true ? [DENIAL] : []),
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${TYPE}.extensions.filters.http.router.v3.Router` },
      },
    ],
  };
  return {
    admin: { address: localAddress(0) },
    static_resources: {
      listeners: [
        {
          name: 'clients',
          address: localAddress(0),
          filter_chains: [
            { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
          ],
        },
      ],
      clusters: [
        {
          name: 'servers',
          type: 'STATIC',
          connect_timeout: '5s',
          ...(loadReports !== undefined && { load_balancing_policy: weighted(loadReports) }),
          // By default Envoy has no more than three retries under way.
          circuit_breakers: {
            thresholds: [{ max_retries: 1_000, ...(maxRequests !== undefined && { max_requests: maxRequests }) }],
          },
          typed_extension_protocol_options: HTTP2,
          load_assignment: {
            cluster_name: 'servers',
            endpoints: [{ lb_endpoints: ports.map((port) => ({ endpoint: { address: localAddress(port) } })) }],
          },
          ...(tls !== undefined && { transport_socket: tlsSocket(tls) }),
        },
      ],
    },
  };
}

/** As soon as it can, rather than after its blackout of ten seconds. */
function weighted(loadReports: NonNullable<EnvoyOptions['loadReports']>): object {
  const policy = 'client_side_weighted_round_robin';
  return {
    policies: [
      {
        typed_extension_config: {
          name: `envoy.load_balancing_policies.${policy}`,
          typed_config: {
            '@type': `${TYPE}.extensions.load_balancing_policies.${policy}.v3.ClientSideWeightedRoundRobin`,
            enable_oob_load_report: loadReports === 'out of band',
            oob_reporting_period: '1s',
            blackout_period: '0s',
            weight_update_period: '0.1s',
          },
        },
      },
    ],
  };
}

function localAddress(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

function tlsSocket({ authority, identity }: NonNullable<EnvoyOptions['tls']>): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni: 'localhost',
      common_tls_context: {
        alpn_protocols: ['h2'],
        validation_context: {
          trusted_ca: { filename: authority },
          match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'localhost' } }],
        },
        ...(identity !== undefined && {
          tls_certificates: [
            { certificate_chain: { filename: identity.certificate }, private_key: { filename: identity.privateKey } },
          ],
        }),
      },
    },
  };
}
