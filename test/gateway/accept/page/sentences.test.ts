import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ModelSnapshot, ServerSnapshot } from '../../../../src/gateway/accept/page/snapshot.ts';
import { notesOf } from '../../../../src/gateway/accept/page/static/notes.js';
import { modelVerdict, serverVerdict, silenceVerdict } from '../../../../src/gateway/accept/page/static/sentences.js';

/** Recorded from real servers by `record-states.ts`. */
function recorded(name: string): ServerSnapshot {
  return JSON.parse(fs.readFileSync(path.join(import.meta.dirname, 'states', `${name}.json`), 'utf8'));
}

function modelOf(snapshot: ServerSnapshot, name: string): ModelSnapshot {
  return snapshot.models.find((model) => model.name === name)!;
}

describe('the first sentence for', () => {
  test('a server without models', () => {
    expect(serverVerdict(recorded('empty'))).toMatchObject({ tone: 'wait', lead: 'No models yet.' });
  });

  test('a server that loads says how far it is', () => {
    const { tone, lead, rest } = serverVerdict(recorded('loading'));
    expect({ tone, lead }).toEqual({ tone: 'wait', lead: 'Loading: 0 of 2 versions are ready.' });
    expect(rest).not.toContain('not load');
  });

  test('a server without callers says that nothing was asked', () => {
    expect(serverVerdict(recorded('quiet'))).toEqual({
      tone: 'good',
      lead: 'Ready: all 2 models are loaded.',
      rest: 'Nothing was asked in the last half minute.',
    });
  });

  test('a healthy server says how much it answers, and which model is slowest', () => {
    const { tone, lead, rest } = serverVerdict(recorded('ready'));
    expect(tone).toBe('good');
    expect(lead).toMatch(/^All well: \d+ answers a second\.$/);
    expect(rest).toMatch(
      /^The 2 models answer \d+ requests a second; the slowest is (eta|ranker), 99 of 100 within \S+ ms\.$/,
    );
  });

  test('a server with one broken model names it before anything else', () => {
    const { tone, lead, rest } = serverVerdict(recorded('one-model-broken'));
    expect({ tone, lead }).toEqual({ tone: 'bad', lead: 'Not ready, because depth version 2 does not answer.' });
    expect(rest).toMatch(/^The other 2 models answer 0 requests a second/);
  });

  test('an overloaded server says how much is refused, where, and why', () => {
    const { tone, lead, rest } = serverVerdict(recorded('overload'));
    expect(tone).toBe('warn');
    expect(lead).toMatch(/^Overloaded: [\d.]+ of [\d.]+ requests a second are refused\.$/);
    expect(rest).toMatch(/^Most of them at cifar10, because their deadline is shorter than a run\. cifar10 answers/);
  });

  test('a server that drains says work still on its way', () => {
    expect(serverVerdict(recorded('draining'))).toEqual({
      tone: 'warn',
      lead: 'Draining: the server answers what it has accepted, then ends.',
      rest: 'Nothing is on its way any more.',
    });
  });

  test('a server that does not answer says since when', () => {
    const at = new Date(2026, 0, 1, 19, 12, 3).getTime();
    expect(silenceVerdict(at)).toMatchObject({ tone: 'bad', lead: 'No answer from the server since 19:12:03.' });
  });

  test('a busy gateway says that more cores do not help', () => {
    const snapshot = recorded('ready');
    const busy = { ...snapshot, server: { ...snapshot.server, event_loop_busy: 0.97 } };
    expect(serverVerdict(busy)).toMatchObject({
      tone: 'warn',
      lead: 'The gateway itself is the bottleneck: it is busy 97 % of the time.',
    });
  });
});

describe('the first sentence of a model', () => {
  test('says how fast it is, and where its time goes', () => {
    const { tone, lead, rest } = modelVerdict(modelOf(recorded('ready'), 'eta'));
    expect(tone).toBe('good');
    expect(lead).toMatch(/^[\d.]+ answers a second, half of them within \S+ ms and 99 of 100 within \S+ ms\.$/);
    expect(rest).toMatch(/^The largest part of the time, \d+ %, is .*; a batch holds 1\.0 rows on average\.$/);
  });

  test('says that requests run one by one, where rows depend on each other', () => {
    expect(modelVerdict(modelOf(recorded('ready'), 'ranker')).rest).toMatch(/each request runs by itself\.$/);
  });

  test('that does not load gives the reason', () => {
    const { tone, lead, rest } = modelVerdict(modelOf(recorded('one-model-broken'), 'depth'));
    expect({ tone, lead }).toEqual({ tone: 'bad', lead: 'depth does not answer.' });
    expect(rest).toMatch(/^Version 2: .*model\.onnx/);
  });

  test('that loads says so', () => {
    expect(modelVerdict(modelOf(recorded('loading'), 'eta'))).toMatchObject({
      tone: 'wait',
      lead: 'eta is being loaded.',
    });
  });

  test('that is overloaded says how much it refuses', () => {
    expect(modelVerdict(modelOf(recorded('overload'), 'cifar10')).lead).toMatch(
      /requests a second are refused, because their deadline is shorter than a run\.$/,
    );
  });
});

describe('notes', () => {
  test('there are none on a good day', () => {
    expect(notesOf(recorded('ready'))).toEqual([]);
    expect(notesOf(recorded('quiet'))).toEqual([]);
  });

  test('a broken model is noted with its reason, and without an age', () => {
    expect(notesOf(recorded('one-model-broken'))).toMatchObject([
      { mark: 'failed', model: 'depth', at: null, text: expect.stringContaining('version 2 does not answer: ') },
    ]);
  });

  test('an overload is noted with its share and its cause', () => {
    expect(notesOf(recorded('overload'))).toMatchObject([
      {
        mark: 'care',
        model: 'cifar10',
        text: expect.stringMatching(
          /^[\d,]+ of [\d,]+ requests \([\d.]+ %\) were refused, because their deadline is shorter than a run/,
        ),
      },
    ]);
  });

  test('the end of a process is noted with its cause, and what ran again', () => {
    const snapshot = recorded('ready');
    const end = {
      kind: 'runner_ended',
      at_ms: snapshot.at_ms - 5_000,
      model: 'eta',
      version: '1',
      text: 'killed by SIGKILL',
      stage: null,
      repeated: 3,
      back_after_ms: 1_400,
    } as const;
    expect(notesOf({ ...snapshot, events: [end] })).toEqual([
      {
        mark: 'care',
        model: 'eta',
        text: 'the process of version 1 ended (killed by SIGKILL), and was replaced within 1 s; 3 requests ran again',
        at: end.at_ms,
      },
    ]);
  });
});
