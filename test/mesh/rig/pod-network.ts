/** A network namespace for a pod, with an address of its own on the bridge. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BRIDGE, HUB } from './control-plane.ts';

const run = promisify(execFile);

let pods = 0;

export class PodNetwork {
  readonly name: string;
  readonly ip: string;

  private constructor(name: string, ip: string) {
    this.name = name;
    this.ip = ip;
  }

  /** @param id of at most 12 characters */
  static async create(id: string): Promise<PodNetwork> {
    pods += 1;
    const number = pods + 10;
    const network = new PodNetwork(id, `10.244.${number >> 8}.${number & 255}`);
    const link = `v-${id}`;
    await ip('netns', 'add', id);
    await ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', id);
    await ip('link', 'set', link, 'master', BRIDGE, 'up');
    await ip('-n', id, 'addr', 'add', `${network.ip}/16`, 'dev', 'eth0');
    await ip('-n', id, 'link', 'set', 'eth0', 'up');
    await ip('-n', id, 'link', 'set', 'lo', 'up');
    await ip('-n', id, 'route', 'add', 'default', 'via', HUB);
    return network;
  }

  /** Runs a program in this network, and not in the pod's file tree. Resolves with its output. */
  async exec(program: string, ...args: readonly string[]): Promise<string> {
    return (await run('nsenter', [`--net=/run/netns/${this.name}`, program, ...args])).stdout;
  }

  async remove(): Promise<void> {
    const pids = (await run('ip', ['netns', 'pids', this.name])).stdout.split('\n').filter((pid) => pid !== '');
    for (const pid of pids) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    await ip('netns', 'del', this.name);
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  await run('ip', args);
}
