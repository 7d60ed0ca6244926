/**
 * What istiod programs into the proxies, compared with what it programmed when it was last looked at: whatever changes there,
 * by a change of the manifests or of Istio, is seen and wanted, or not.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Mesh } from '../rig/mesh.ts';
import type { Pod } from '../rig/pod.ts';
import { type Overlay, type Proof, replace } from './proof.ts';

const FOLDER = fileURLToPath(new URL('../golden/', import.meta.url));
/** Set to write the observed values, instead of comparing them. */
const UPDATE = process.env['UPDATE_GOLDEN'] === '1';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Fields = { readonly [key: string]: Json };

interface Named {
  readonly name: string;
}

/** The clusters and routes of a client, and what an inference meets on its way in. */
async function programmed(mesh: Mesh): Promise<Json> {
  const [server] = mesh.gateways('stable');
  assert(server !== undefined);
  const client = mesh.client('caller');
  const clusters = await dump<{ readonly cluster: Fields & Named }>(mesh, client, 'dynamic_active_clusters');
  const routes = await dump<RouteConfig>(mesh, client, 'dynamic_route_configs');
  const listeners = await dump<ListenerConfig>(mesh, server, 'dynamic_listeners');
  const hosts = routes.flatMap(({ route_config: { virtual_hosts = [] } }) => virtual_hosts);
  const chains = listeners.flatMap(({ active_state }) => active_state?.listener.filter_chains ?? []);
  return {
    clusters: sorted(
      clusters.map(({ cluster }) => cluster).filter(({ name }) => /^outbound\|8001\|.*tensorgate/.test(name)),
    ),
    virtualHosts: sorted(hosts.filter(({ name }) => /^tensorgate.*:8001$/.test(name))),
    inbound: sorted(chains.filter(({ name }) => name === '0.0.0.0_8001')),
  };
}

interface RouteConfig {
  readonly route_config: { readonly virtual_hosts?: readonly (Fields & Named)[] };
}

interface ListenerConfig {
  readonly active_state?: { readonly listener: { readonly filter_chains?: readonly (Fields & Named)[] } };
}

async function dump<T>(mesh: Mesh, pod: Pod, resource: string): Promise<readonly T[]> {
  return (JSON.parse(await mesh.proxyConfig(pod, `?resource=${resource}`)) as { configs?: T[] }).configs ?? [];
}

function sorted(list: readonly (Fields & Named)[]): readonly (Fields & Named)[] {
  return list.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Addresses differ from run to run, and so does the order of fields. */
function format(value: Json): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false, sortMapEntries: true }).replace(
    /\b10\.(96|244)\.\d+\.\d+\b/g,
    'ADDRESS',
  );
}

export function goldenOf(overlay: Overlay): Proof {
  const file = `${FOLDER}${overlay}.yaml`;
  return {
    name: `golden-${overlay}`,
    promise: `What istiod programs for overlay ${overlay} is what test/mesh/golden/${overlay}.yaml says.`,
    overlay,
    async prove(mesh) {
      const seen = format(await programmed(mesh));
      if (UPDATE) fs.mkdirSync(FOLDER, { recursive: true });
      if (UPDATE) fs.writeFileSync(file, seen);
      const [lines, wanted] = [seen.split('\n'), fs.readFileSync(file, 'utf8').split('\n')];
      const at = lines.findIndex((line, index) => line !== wanted[index]);
      const hint = 'UPDATE_GOLDEN=1 writes it anew';
      assert(at < 0, `line ${at + 1} is ${lines[at]?.trim()} instead of ${wanted[at]?.trim()}; ${hint}`);
      assert.equal(lines.length, wanted.length, hint);
      return `${lines.length} lines of clusters, routes and inbound filters are as recorded`;
    },
    mutation: {
      fault: 'another time to connect',
      patches: [
        {
          kind: 'DestinationRule',
          name: 'tensorgate',
          operations: [replace('/spec/trafficPolicy/connectionPool/tcp/connectTimeout', '3s')],
        },
      ],
    },
  };
}
