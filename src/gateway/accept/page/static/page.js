/** The page: asks the server, draws, and answers pointer and keys. Everything that it draws comes from pure functions. */

/** @import { ServerSnapshot } from '../snapshot.ts' */

import { LANGUAGES } from './ask.js';
import { withUpdate } from './document.js';
import { span } from './figures.js';
import { listView } from './list-view.js';
import { copyButton, state as stateMark } from './marks.js';
import { h, Markup } from './markup.js';
import { modelView } from './model-view.js';
import { serverVerdict, silenceVerdict } from './sentences.js';
import { placeOf, pointAt } from './time-charts.js';
import { startTrying } from './trying.js';

const POLL_MS = 5_000;
/** The server sends an update every two seconds. */
const SILENT_MS = 9_000;

/** @type {ServerSnapshot | undefined} */
let snapshot;
/** @type {EventSource | undefined} */
let source;
let heardAt = 0;
let language = LANGUAGES[0] ?? '';
let filter = '';
/** @type {ReturnType<typeof modelView>['readings']} */
let readings = [];
/** The point that the crosshair stands on. @type {number | undefined} */
let crossAt;
/** What is drawn, by the id of its place: only changes are drawn again, so that focus and selection stay. @type {Map<string, string>} */
const drawn = new Map();

/** @param {string} id */
const byId = (id) => document.getElementById(id);

/**
 * @param {string} id
 * @param {Markup} markup
 */
function put(id, markup) {
  const place = byId(id);
  if (place === null || drawn.get(id) === markup.text) return false;
  drawn.set(id, markup.text);
  place.innerHTML = markup.text;
  return true;
}

const modelName = () => decodeURIComponent(location.hash.slice(2));

function addresses() {
  const host = location.hostname.includes(':') ? `[${location.hostname.replace(/^\[|\]$/g, '')}]` : location.hostname;
  const ports = snapshot?.server.ports ?? { grpc: 0, http: 0 };
  return { grpc: `${host}:${ports.grpc}`, http: location.port === '' ? location.host : `${host}:${location.port}` };
}

/** @param {boolean} [isNew] whether another view is shown than before */
function draw(isNew = false) {
  if (snapshot === undefined) return;
  const now = snapshot;
  const isSilent = performance.now() - heardAt > SILENT_MS;
  document.body.classList.toggle('gone', isSilent);
  const silence = isSilent ? silenceVerdict(now.at_ms) : undefined;
  put(
    'banner',
    silence === undefined
      ? h``
      : h`<p class="banner" role="alert"><strong>${silence.lead}</strong> ${silence.rest}</p>`,
  );
  const model = now.models.find(({ name }) => name === modelName());
  drawTop(isSilent);
  document.title = `${model === undefined ? '' : `${model.name} · `}tensorgate${isSilent ? ' · no answer' : now.server.obstacles.length > 0 ? ' · not ready' : ''}`;
  // Focus, a text that is being typed, a picture that was asked about: they outlive what is drawn around them.
  const kept = isNew ? undefined : keep();
  const shown = { language, filter, addresses: addresses() };
  if (model === undefined) {
    readings = [];
    put('view', listView(now, shown));
  } else {
    const view = modelView(model, now, shown);
    readings = view.readings;
    put('view', view.markup);
  }
  kept?.();
  readAt(crossAt);
  if (isNew) byId('title')?.focus({ preventScroll: true });
}

/** Remembers what the reader has done, and puts it back when it is drawn again. */
function keep() {
  const before = byId('try-slot')?.firstElementChild ?? null;
  const heading = byId('title')?.textContent;
  const active = document.activeElement;
  const key =
    active instanceof HTMLElement
      ? active.id || active.dataset['tab'] || active.dataset['copy'] || active.getAttribute('href')
      : '';
  const open = document.querySelector('details')?.open === true;
  const codeScroll = byId('code')?.scrollTop ?? 0;
  return () => {
    const slot = byId('try-slot');
    if (before !== null && slot !== null && byId('title')?.textContent === heading && slot.firstElementChild !== before)
      slot.replaceChildren(before);
    const details = document.querySelector('details');
    if (details !== null) details.open = open;
    const code = byId('code');
    if (code !== null) code.scrollTop = codeScroll;
    if (!key || document.activeElement === active) return;
    const same = [...document.querySelectorAll('[id], [data-tab], [data-copy], [href]')].find(
      (each) =>
        each instanceof HTMLElement &&
        [each.id, each.dataset['tab'], each.dataset['copy'], each.getAttribute('href')].includes(key),
    );
    if (same instanceof HTMLElement) same.focus({ preventScroll: true });
    if (same instanceof HTMLInputElement && same.type === 'search')
      same.setSelectionRange(filter.length, filter.length);
  };
}

/** @param {boolean} isSilent */
function drawTop(isSilent) {
  if (snapshot === undefined) return;
  const { server, models, at_ms } = snapshot;
  const name = modelName();
  const { tone } = serverVerdict(snapshot);
  const word = isSilent
    ? stateMark('failed', 'no answer')
    : server.phase === 'draining'
      ? stateMark('care', 'draining')
      : tone === 'wait'
        ? stateMark('busy', models.length === 0 ? 'no models' : 'loading')
        : server.obstacles.length > 0
          ? stateMark('failed', 'not ready')
          : stateMark('ready', 'ready');
  const options = models.map(
    (model) => h`<option value="${model.name}"${model.name === name && h` selected`}>${model.name}</option>`,
  );
  const choice =
    models.length > 0 &&
    h`<label class="crumb"><span class="hidden">Model</span><select id="go"><option value="">All models</option>${options}</select></label>`;
  const { grpc, http } = addresses();
  put(
    'top',
    h`<a class="brand" href="#/">tensorgate<span>${server.version}</span></a>${choice}${word}<span class="soft small up">up ${span(at_ms - server.started_at_ms)}</span><div class="addresses"><span>gRPC <code>${grpc}</code>${copyButton(grpc, 'the gRPC address')}</span><span>HTTP <code>${http}</code>${copyButton(http, 'the HTTP address')}</span></div>`,
  );
  byId('openapi')?.toggleAttribute('hidden', !server.rest);
}

/** @param {number | undefined} at */
function readAt(at) {
  crossAt = at;
  const group = byId('times');
  const reading = readings[at ?? readings.length - 1];
  if (group === null || reading === undefined) return;
  group.classList.toggle('on', at !== undefined);
  const places = [...group.querySelectorAll('[data-read]')];
  for (const [index, place] of places.entries()) place.textContent = reading.texts[index] ?? '';
  if (at === undefined) return;
  const x = String(placeOf(at, readings.length));
  for (const line of group.querySelectorAll('.cross')) {
    line.setAttribute('x1', x);
    line.setAttribute('x2', x);
  }
}

/** @param {string} text */
export function say(text) {
  const place = byId('said');
  if (place !== null) place.textContent = text;
}

async function ask() {
  try {
    const response = await fetch('page/snapshot', { cache: 'no-store' });
    if (!response.ok) throw new Error(String(response.status));
    const isFirst = snapshot === undefined;
    snapshot = await response.json();
    heardAt = performance.now();
    draw(isFirst);
    if (source === undefined) requestAnimationFrame(() => setTimeout(listen));
  } catch {
    if (snapshot === undefined)
      put(
        'view',
        h`<section class="answer bad"><p><strong>The server does not answer.</strong> It is asked again every few seconds.</p></section>`,
      );
  }
}

/** Opened after the first paint. Where the server has no room for another watcher, the page asks every few seconds. */
function listen() {
  if (source !== undefined) return;
  source = new EventSource('page/events');
  source.addEventListener('update', ({ data }) => {
    if (snapshot === undefined) return;
    const update = JSON.parse(data);
    heardAt = performance.now();
    if (update.revision !== snapshot.revision) void ask();
    else {
      snapshot = withUpdate(snapshot, update);
      draw();
    }
  });
  source.addEventListener('stale', () => void ask());
  source.addEventListener('error', () => {
    if (source?.readyState !== EventSource.CLOSED) return;
    source = undefined;
  });
}

setInterval(() => {
  if (performance.now() - heardAt < POLL_MS) return;
  void ask().then(() => draw());
}, 2_000);

document.addEventListener('click', async ({ target }) => {
  const button = target instanceof Element ? target.closest('button') : null;
  if (button === null) return;
  const { copy, tab, load, unload } = button.dataset;
  if (copy !== undefined) {
    await navigator.clipboard?.writeText(copy).catch(() => {});
    button.classList.add('done');
    say('Copied');
    setTimeout(() => button.classList.remove('done'), 1_200);
  } else if (tab !== undefined) {
    language = tab;
    draw();
    byId(`tab-${tab}`)?.focus();
  } else if (load !== undefined || unload !== undefined)
    await control(load ?? unload ?? '', load === undefined ? 'unload' : 'load');
});

/**
 * Asks once, in a sentence.
 * @param {string} name
 * @param {'load' | 'unload'} verb
 */
async function control(name, verb) {
  const question =
    verb === 'load'
      ? `Load ${name} again from the repository? It answers meanwhile.`
      : `Unload ${name}? Its requests are refused from then on.`;
  if (!confirm(question)) return;
  const response = await fetch(`v2/repository/models/${encodeURIComponent(name)}/${verb}`, { method: 'POST' }).catch(
    () => undefined,
  );
  const answer = response?.ok === true ? undefined : await response?.json().catch(() => undefined);
  say(response?.ok === true ? `${name}: ${verb} done` : `${name}: ${answer?.error ?? 'no answer'}`);
  if (response?.ok !== true) alert(`${name}: ${answer?.error ?? 'no answer'}`);
  await ask();
}

document.addEventListener('change', ({ target }) => {
  if (target instanceof HTMLSelectElement && target.id === 'go')
    location.hash = target.value === '' ? '#/' : `#/${encodeURIComponent(target.value)}`;
});
document.addEventListener('input', ({ target }) => {
  if (!(target instanceof HTMLInputElement) || target.id !== 'filter') return;
  filter = target.value;
  draw();
});
document.addEventListener('keydown', (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const step = event.key === 'ArrowLeft' ? -1 : event.key === 'ArrowRight' ? 1 : 0;
  if (target?.getAttribute('role') === 'tab' && step !== 0) {
    const next = LANGUAGES[(LANGUAGES.indexOf(language) + step + LANGUAGES.length) % LANGUAGES.length] ?? language;
    byId(`tab-${next}`)?.click();
    event.preventDefault();
  } else if (target?.id === 'times' && step !== 0) {
    readAt(Math.max(0, Math.min(readings.length - 1, (crossAt ?? readings.length) + step)));
    const reading = readings[crossAt ?? 0];
    say(reading === undefined ? '' : `${reading.time}: ${reading.texts.join('; ')}`);
    event.preventDefault();
  } else if (event.key === 'Escape') readAt(undefined);
});
document.addEventListener('pointermove', ({ target, clientX }) => {
  const chart = target instanceof Element ? target.closest('#times svg') : null;
  if (chart === null) {
    if (crossAt !== undefined && document.activeElement?.id !== 'times') readAt(undefined);
    return;
  }
  const box = chart.getBoundingClientRect();
  readAt(pointAt((clientX - box.left) / box.width, readings.length));
});
addEventListener('hashchange', () => {
  crossAt = undefined;
  draw(true);
  scrollTo(0, 0);
});

startTrying({ model: () => snapshot?.models.find(({ name }) => name === modelName()), say });
void ask();
