/**
 * The requests of the recording, sent to this server, which must answer what Triton answered, but for what docs/triton.md
 * lists: an unlisted difference fails, and so does a listed one that is none.
 */

import fs from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { useServer } from '../support/server-fixture.ts';
import { meaningOf, type Reply, rpcOfPath, sameMeaning } from './triton-meaning.ts';
import { LACKING, MODELS } from './triton-models.ts';
import { type Mode, type Recorded, recording } from './triton-recording.ts';
import { recordedReply, replay } from './triton-replay.ts';

const recorded = recording();
if (recorded === undefined) console.warn('SKIPPED: the recording of Triton is not beside the repository');
const cases = recorded ?? [];
const PAGE = fs.readFileSync(new URL('../../docs/triton.md', import.meta.url), 'utf8');

/** Triton answers raw always. */
const FLAGS = ['--typed-answers', 'never', '--log-level', 'info', '--allow-code-models'];

interface Difference {
  readonly triton: string;
  readonly ours: string;
  /** Both texts, for the judgement of a reader. */
  readonly reply: string;
}

describe.skipIf(recorded === undefined)('beside Triton', () => {
  describe.each<[Mode, readonly string[], readonly string[]]>([
    ['all models', Object.keys(MODELS), []],
    ['explicit control', Object.keys(MODELS), ['--model-control-mode', 'explicit', '--allow-model-upload', 'true']],
    ['HTTP', ['add', 'cifar_b32', 'identity_bytes', 'identity_fp32'], []],
  ])('%s', (mode, names, flags) => {
    const models = Object.fromEntries(Object.entries(MODELS).filter(([name]) => names.includes(name)));
    const fixture = useServer(models, { flags: [...FLAGS, ...flags] });
    const differences = new Map<string, Difference>();

    beforeAll(async () => {
      // One more comes with a request.
      const known = new Set([...names, 'fresh']);
      for (const one of cases.filter((each) => each.mode === mode && !isLacking(each))) {
        const theirs = recordedReply(one);
        const ours = await replay(one, fixture.client, fixture.server);
        const rpc = one.rpc === 'HTTP' ? rpcOfPath(one.request.path) : one.rpc;
        if (sameMeaning(rpc, theirs, ours, known)) continue;
        const reply = [theirs, ours].map((each) => describeReply(rpc, each, known)).join('\n   ours: ');
        differences.set(one.name, { triton: theirs.code, ours: ours.code, reply: `\n Triton: ${reply}` });
      }
    }, 600_000);

    test('differs from it only as docs/triton.md says', () => {
      const listed = listedDifferences();
      const unlisted = [...differences].filter(([name, { triton, ours }]) => {
        const row = listed.get(name);
        return row === undefined || row.triton !== triton || !row.ours.includes(ours);
      });
      expect(unlisted.map(([name, { triton, ours, reply }]) => `${name}: ${triton}, ours ${ours}${reply}`)).toEqual([]);
    });

    test('differs from it in all that docs/triton.md says', () => {
      const names = new Set(cases.filter((each) => each.mode === mode).map(({ name }) => name));
      // Where time decides, ours may be Triton's.
      const certain = [...listedDifferences()].filter(
        ([, { triton, ours }]) => ours.length === 1 || !ours.includes(triton),
      );
      const listed = certain.map(([name]) => name).filter((name) => names.has(name));
      expect(listed.filter((name) => !differences.has(name))).toEqual([]);
    });
  });

  test('lists no case that was not recorded', () => {
    const names = new Set(cases.map(({ name }) => name));
    expect([...listedDifferences().keys()].filter((name) => !names.has(name))).toEqual([]);
  });

  test('leaves out the models that docs/triton.md names, and no others', () => {
    const [, section = ''] = PAGE.split('## Not replayed\n');
    const named = [...section.matchAll(/^\* `(\w+)`/gm)].map(([, name]) => name);
    expect(named.sort()).toEqual(Object.keys(LACKING).sort());
    for (const model of Object.keys(LACKING))
      expect(cases.filter(isLacking).some((each) => modelsOf(each).has(model))).toBe(true);
  });
});

function isLacking(one: Recorded): boolean {
  return [...modelsOf(one)].some((name) => LACKING[name] !== undefined);
}

/** The models that a request names. */
function modelsOf({ request }: Recorded): ReadonlySet<string> {
  const messages = Array.isArray(request) ? request : [request];
  return new Set(messages.map(({ name, model_name }) => model_name ?? name));
}

function describeReply(rpc: string, reply: Reply, models: ReadonlySet<string>): string {
  return reply.text !== '' || reply.answer === undefined ? reply.text : JSON.stringify(meaningOf(rpc, reply, models));
}

/** By case: the code of Triton, and those that ours may be; more than one where time decides. */
interface Listed {
  readonly triton: string;
  readonly ours: readonly string[];
}

/** The rows of the page's tables: names of cases, Triton's answer, ours, the reason; codes come first in their cells. */
function listedDifferences(): ReadonlyMap<string, Listed> {
  const [, section = ''] = PAGE.split('## Differences\n');
  const tables = section.slice(0, section.search(/\n## /));
  const rows = tables.matchAll(/^\| (`.*?) \| `(\w+)`.*? \| `(\w+)`(?: or `(\w+)`)?.*? \|.*\|$/gm);
  return new Map(
    [...rows].flatMap(([, names = '', triton = '', ...ours]) =>
      [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => {
        return [name, { triton, ours: ours.filter((code) => code !== undefined) }] as const;
      }),
    ),
  );
}
