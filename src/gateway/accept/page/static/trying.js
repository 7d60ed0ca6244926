/** The form to try a model: reads pictures and fields, asks over REST, and shows the answer. */

/** @import { ModelSnapshot } from '../snapshot.ts' */

import { h } from './markup.js';
import { answerView } from './try-answer.js';
import { fieldBody, imageBody, imagePlan } from './try-form.js';

/** @param {{ readonly model: () => ModelSnapshot | undefined, readonly say: (text: string) => void }} page */
export function startTrying({ model, say }) {
  const show = (/** @type {import('./markup.js').Markup} */ markup) => {
    const place = document.getElementById('result');
    if (place !== null) place.innerHTML = markup.text;
  };

  /**
   * @param {ModelSnapshot} asked
   * @param {string} body
   * @param {string} [picture]
   */
  const send = async (asked, body, picture) => {
    say(`Asking ${asked.name}`);
    const startedAt = performance.now();
    try {
      const response = await fetch(`v2/models/${encodeURIComponent(asked.name)}/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      const answer = await response.json();
      show(answerView(asked, answer, { tookMs: performance.now() - startedAt, picture }));
      say(answer.error === undefined ? `${asked.name} has answered` : '');
    } catch {
      show(answerView(asked, { error: 'The server did not answer.' }, { tookMs: 0, picture }));
    }
  };

  /** @param {Blob | null | undefined} file */
  const sendPicture = async (file) => {
    const asked = model();
    const plan = asked === undefined ? undefined : imagePlan(asked);
    if (asked === undefined || plan === undefined || file === null || file === undefined) return;
    try {
      const bitmap = await createImageBitmap(file, {
        resizeWidth: plan.width,
        resizeHeight: plan.height,
        resizeQuality: 'high',
      });
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [plan.width, plan.height];
      const context = canvas.getContext('2d');
      if (context === null) return;
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, plan.width, plan.height);
      await send(asked, imageBody(plan, data), canvas.toDataURL());
    } catch {
      show(h`<div class="result"><p class="failed">This file is not an image that the browser can read.</p></div>`);
    }
  };

  document.addEventListener('submit', (event) => {
    const form = event.target;
    const asked = model();
    if (!(form instanceof HTMLFormElement) || form.id !== 'ask-form' || asked === undefined) return;
    event.preventDefault();
    const json = form.querySelector('#json');
    const fields = [...form.querySelectorAll('[data-input]')].flatMap((field) =>
      field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement
        ? [{ name: field.dataset['input'] ?? '', value: field.value }]
        : [],
    );
    try {
      void send(asked, json instanceof HTMLTextAreaElement ? json.value : fieldBody(asked, fields));
    } catch (error) {
      show(answerView(asked, { error: error instanceof Error ? error.message : String(error) }, { tookMs: 0 }));
    }
  });
  listenForPictures((file) => void sendPicture(file));
}

/** @param {(file: Blob | null | undefined) => void} take a picture that was chosen, pasted or dropped */
function listenForPictures(take) {
  document.addEventListener('change', ({ target }) => {
    if (target instanceof HTMLInputElement && target.id === 'file') take(target.files?.[0]);
  });
  document.addEventListener('paste', ({ clipboardData }) => {
    const item = [...(clipboardData?.items ?? [])].find(({ type }) => type.startsWith('image/'));
    if (item !== undefined) take(item.getAsFile());
  });
  const dropOf = (/** @type {EventTarget | null} */ target) =>
    target instanceof Element ? target.closest('#drop') : null;
  document.addEventListener('dragover', (event) => {
    const drop = dropOf(event.target);
    if (drop === null) return;
    event.preventDefault();
    drop.classList.add('over');
  });
  document.addEventListener('dragleave', ({ target }) => dropOf(target)?.classList.remove('over'));
  document.addEventListener('drop', (event) => {
    const drop = dropOf(event.target);
    if (drop === null) return;
    event.preventDefault();
    drop.classList.remove('over');
    take(event.dataTransfer?.files[0]);
  });
}
