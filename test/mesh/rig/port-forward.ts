/** What `kubectl port-forward` is: a way to a port of a pod's loopback, past its proxy. */

import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export class PortForwards {
  readonly #network: string;
  readonly #folder: string;
  readonly #relays = new Map<number, Promise<string>>();

  /** @param folder for the sockets; their paths may not be longer than 107 characters */
  constructor(network: string, folder: string) {
    this.#network = network;
    this.#folder = folder;
  }

  /** The path of a Unix socket that leads to the port. */
  socket(port: number): Promise<string> {
    const known = this.#relays.get(port) ?? this.#open(port);
    this.#relays.set(port, known);
    return known;
  }

  /** Asks over HTTP. @throws Error on any status but 200 */
  async http(port: number, url: string, method = 'GET'): Promise<string> {
    const socketPath = await this.socket(port);
    return new Promise((resolve, reject) => {
      const request = http.request({ socketPath, path: url, method, agent: false, timeout: 10_000 }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`${method} ${url} on port ${port}: ${response.statusCode} ${text.slice(0, 200)}`));
        });
      });
      request.on('timeout', () => request.destroy(new Error(`no answer from port ${port}`)));
      request.on('error', reject);
      request.end();
    });
  }

  async #open(port: number): Promise<string> {
    const file = path.join(this.#folder, String(port));
    const listen = `UNIX-LISTEN:${file},fork,unlink-early`;
    const relay: ChildProcess = spawn(
      'nsenter',
      [`--net=/run/netns/${this.#network}`, 'socat', listen, `TCP:127.0.0.1:${port}`],
      { stdio: 'ignore' },
    );
    while (!fs.existsSync(file)) {
      if (relay.exitCode !== null) throw new Error(`no way to port ${port} of ${this.#network}`);
      await delay(10);
    }
    return file;
  }
}
