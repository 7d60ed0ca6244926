import https from 'node:https';

/** The fields of all objects, and nothing more; a reader of a kind declares its own fields. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
}

export class KubernetesError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'KubernetesError';
    this.status = status;
  }
}

export interface ApiServerAddress {
  readonly host: string;
  readonly port: number;
  readonly certificate: string;
  readonly token: string;
}

const MERGE_PATCH = 'application/merge-patch+json';

/** The API server, by paths. Every method throws KubernetesError where the server refuses. */
export class Kubernetes {
  readonly #address: ApiServerAddress;
  readonly #agent: https.Agent;

  constructor(address: ApiServerAddress) {
    this.#address = address;
    this.#agent = new https.Agent({ ca: address.certificate, keepAlive: true });
  }

  get<T>(path: string): Promise<T> {
    return this.#request('GET', path) as Promise<T>;
  }

  async list<T extends KubernetesObject>(path: string): Promise<readonly T[]> {
    return ((await this.#request('GET', path)) as { items: T[] }).items;
  }

  async create<T>(path: string, object: unknown): Promise<T> {
    return (await this.#request('POST', path, object)) as T;
  }

  async merge(path: string, patch: unknown): Promise<void> {
    await this.#request('PATCH', path, patch, MERGE_PATCH);
  }

  async delete(path: string): Promise<void> {
    await this.#request('DELETE', path);
  }

  /** The text of an endpoint that answers with no object, such as `/readyz`. */
  text(path: string): Promise<string> {
    return this.#send('GET', path);
  }

  async #request(method: string, path: string, body?: unknown, type?: string): Promise<unknown> {
    return JSON.parse(await this.#send(method, path, body, type));
  }

  #send(method: string, path: string, body?: unknown, type = 'application/json'): Promise<string> {
    const { host, port, token } = this.#address;
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': type, accept: 'application/json' };
      const request = https.request({ host, port, path, method, headers, agent: this.#agent }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const status = response.statusCode ?? 0;
          if (status < 300) resolve(text);
          else reject(new KubernetesError(status, `${method} ${path}: ${status} ${text.slice(0, 500)}`));
        });
      });
      request.on('error', reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
