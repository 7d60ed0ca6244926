/** Which route answers a path: the path's pattern is looked up once, and remembered for the requests after it. */

import type { PathNames, RestRoute } from './rest-route.ts';

/** A route, and the names in its path as the client encoded them. */
export interface FoundRoute {
  readonly route: RestRoute;
  readonly names: PathNames;
}

/** Paths that are remembered: clients ask the same few models again and again. */
const MAX_REMEMBERED = 256;
const MAX_REMEMBERED_LENGTH = 512;

export class RestTable {
  readonly #routes: readonly { readonly route: RestRoute; readonly pattern: RegExp }[];
  readonly #remembered = new Map<string, FoundRoute>();

  constructor(routes: readonly RestRoute[]) {
    this.#routes = routes.map((route) => ({ route, pattern: patternOf(route.path) }));
  }

  /** The route of the path, or the methods that the path has: none where there is no such path. */
  find(path: string, method: string): FoundRoute | { readonly allowed: readonly string[] } {
    const key = `${method} ${path}`;
    const known = this.#remembered.get(key);
    if (known !== undefined) return known;
    const allowed: string[] = [];
    for (const { route, pattern } of this.#routes) {
      const match = pattern.exec(path);
      if (match === null) continue;
      if (route.method === method || (route.method === 'GET' && isRead(method))) {
        const found = { route, names: match.groups ?? {} };
        this.#remember(key, found);
        return found;
      }
      allowed.push(...(route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
    }
    return { allowed };
  }

  /** Methods of a path that change nothing, which web pages of other origins may be allowed. */
  methodsForPages(path: string): readonly string[] {
    const own = this.#routes.filter(({ route, pattern }) => pattern.test(path) && !isControl(route));
    return [...new Set(own.map(({ route }) => route.method))];
  }

  #remember(key: string, found: FoundRoute): void {
    if (key.length > MAX_REMEMBERED_LENGTH) return;
    if (this.#remembered.size === MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(key, found);
  }
}

function isControl(route: RestRoute): boolean {
  return route.kind === 'json' && route.isControl === true;
}

export function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** `/v2/models/{model}` as an expression whose groups are the names; a name is anything between two slashes. */
function patternOf(path: string): RegExp {
  const literal = path.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}/?$`);
}
