/** The substitute for images: there is no container engine, so their programs come from this machine and this checkout. */

import { fileURLToPath } from 'node:url';
import type { Toolbox } from './toolbox.ts';

/** A file or folder that a container sees at a path of its own. */
export interface Mount {
  readonly source: string;
  readonly target: string;
  readonly writable: boolean;
}

export interface Image {
  readonly entrypoint: readonly string[];
  readonly workingDir: string;
  readonly mounts: readonly Mount[];
  readonly user: number;
}

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url));
const APP = '/app';
const NODE = `${APP}/node_modules/node/bin/node`;

/** A client pod of the tests. */
export const CLIENT_IMAGE = 'mesh-client';

export class Images {
  readonly #proxy: Image;

  constructor(toolbox: Toolbox) {
    this.#proxy = {
      entrypoint: ['/usr/local/bin/pilot-agent'],
      workingDir: '/',
      user: 1337,
      mounts: [
        readOnly(toolbox.pilotAgent, '/usr/local/bin/pilot-agent'),
        readOnly(toolbox.envoy, '/usr/local/bin/envoy'),
        readOnly(toolbox.bootstrapTemplate, '/var/lib/istio/envoy/envoy_bootstrap_tmpl.json'),
      ],
    };
  }

  /** @param reference such as `registry.example/tensorgate:1.0@sha256:…`. @throws Error where nothing stands in for it */
  find(reference: string): Image {
    const name = reference
      .replace(/@.*$/, '')
      .replace(/:[^/:]*$/, '')
      .split('/')
      .at(-1);
    switch (name) {
      case 'tensorgate':
        return checkout(['src/cli/main.ts']);
      case CLIENT_IMAGE:
        return checkout(['test/mesh/client/main.ts']);
      case 'proxyv2':
        return this.#proxy;
      default:
        throw new Error(`nothing stands in for the image ${reference}`);
    }
  }
}

function checkout(args: readonly string[]): Image {
  return { entrypoint: [NODE, ...args], workingDir: APP, user: 10_001, mounts: [readOnly(CHECKOUT, APP)] };
}

function readOnly(source: string, target: string): Mount {
  return { source, target, writable: false };
}
