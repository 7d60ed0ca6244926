/** The plots of a report, as SVG that takes its colours from the page. */

import type { ModelReport, Report } from '../report.ts';
import { axes, BOTTOM, figure, LEFT, RIGHT, TOP } from './figure.ts';
import { count, percent, times } from './format.ts';
import { type Markup, markup } from './markup.ts';
import { linearScale, logScale, spreadOut } from './scale.ts';

/** A model's place in the palette: the base is grey, and a colour is a model's in every plot. */
export function colourOf(index: number): string {
  return `c${index % 9}`;
}

interface Point {
  readonly model: ModelReport;
  readonly index: number;
  readonly x: number;
  readonly y: number;
}

/** Points, in percent. */
const MOST_BELOW = 15;

/** Accuracy, or agreement without labels, against the speed at the largest batch. */
export function accuracyAgainstSpeed(models: readonly ModelReport[], batch: number): Markup {
  const isLabelled = models.some(({ quality }) => quality.accuracy !== undefined);
  const points = models.flatMap((model, index): (Point & { least: number; most: number })[] => {
    const speed = model.speed.find((each) => each.batch === batch)?.itemsPerSecond;
    const y = isLabelled ? model.quality.accuracy : model.quality.agreement;
    return speed === undefined || y === undefined
      ? []
      : [{ model, index, x: speed.median, y: y * 100, least: speed.min, most: speed.max }];
  });
  if (points.length === 0) return markup``;
  const x = linearScale([0, ...points.map(({ most }) => most)], [LEFT, RIGHT - 40]);
  // A point far below would squeeze the others: it is drawn at the bottom, with its value beside it.
  const bottom = Math.max(...points.map((point) => point.y)) - MOST_BELOW;
  const y = linearScale(padded(points.map((point) => Math.max(point.y, bottom))), [BOTTOM, TOP]);
  const largest = Math.max(...points.map(({ model }) => model.bytes));
  const dots = points.map((point) => {
    const [cx, cy] = [x(point.x), y(Math.max(point.y, bottom))];
    const radius = 5 + 11 * Math.sqrt(point.model.bytes / largest);
    const text = point.y < bottom ? `${point.model.name} ↓ ${Number(point.y.toFixed(1))} %` : point.model.name;
    const width = text.length * 7.4;
    const isLeft = cx + radius + 6 + width > RIGHT;
    const from = isLeft ? cx - radius - 6 - width : cx + radius + 6;
    return { ...point, cx, cy, radius, text, isLeft, from, width };
  });
  const labels = spreadOut(
    dots.map(({ cy }) => cy),
    16,
    (one, other) => {
      const [a, b] = [dots[one], dots[other]];
      return a !== undefined && b !== undefined && a.from < b.from + b.width && b.from < a.from + a.width;
    },
  );
  return figure(
    `${isLabelled ? 'Accuracy' : 'Same answers as the base'} against speed`,
    markup`${axes(x, y, `rows a second, batch of ${batch}, one thread`, isLabelled ? 'right answers, %' : 'same answers, %')}
    ${dots.map(({ index, model, cx, cy, radius, text, isLeft, from, width, ...point }, at) => {
      const edge = isLeft ? from + width : from;
      return markup`<g class="${colourOf(index)}"><line class="spread" x1="${x(point.least)}" x2="${x(point.most)}" y1="${cy}" y2="${cy}"/>
      <circle class="${index === 0 ? 'ring' : 'dot'}" cx="${cx}" cy="${cy}" r="${radius}"><title>${model.name}: ${Number(point.y.toFixed(2))} %, ${count(point.x)} rows a second, ${count(model.bytes)} bytes</title></circle>
      <text class="label" x="${edge}" y="${(labels[at] ?? cy) + 4}" text-anchor="${isLeft ? 'end' : 'start'}">${text}</text></g>`;
    })}`,
  );
}

/** Rows a second by batch size, with the least and the greatest of the rounds. */
export function speedByBatch(models: readonly ModelReport[]): Markup {
  const batches = models[0]?.speed.map(({ batch }) => batch) ?? [];
  if (batches.length < 2) return markup``;
  const x = logScale(batches, [LEFT + 12, RIGHT - 118]);
  const all = models.flatMap(({ speed }) => speed.map(({ itemsPerSecond }) => itemsPerSecond.max));
  const y = linearScale([0, ...all], [BOTTOM, TOP]);
  const drawn = models.map((model, index) => ({ model, index })).filter(({ model }) => model.speed.length > 0);
  const labels = spreadOut(
    drawn.map(({ model }) => y(model.speed.at(-1)?.itemsPerSecond.median ?? 0)),
    15,
  );
  return figure(
    'Speed by batch size',
    markup`${axes(x, y, 'rows in a batch', 'rows a second, one thread')}
    ${drawn.map(({ model, index }, at) => {
      const up = model.speed.map(
        ({ batch, itemsPerSecond }) => `${x(batch).toFixed(1)},${y(itemsPerSecond.max).toFixed(1)}`,
      );
      const down = model.speed.map(
        ({ batch, itemsPerSecond }) => `${x(batch).toFixed(1)},${y(itemsPerSecond.min).toFixed(1)}`,
      );
      const line = model.speed.map(
        ({ batch, itemsPerSecond }) => `${x(batch).toFixed(1)},${y(itemsPerSecond.median).toFixed(1)}`,
      );
      return markup`<g class="${colourOf(index)}"><polygon class="band" points="${[...up, ...down.reverse()].join(' ')}"/>
      <polyline class="line" points="${line.join(' ')}"/>
      ${model.speed.map(
        ({ batch, itemsPerSecond, ratio }) =>
          markup`<circle class="dot" cx="${x(batch)}" cy="${y(itemsPerSecond.median)}" r="3.5"><title>${model.name}, batch of ${batch}: ${count(itemsPerSecond.median)} rows a second (${count(itemsPerSecond.min)} to ${count(itemsPerSecond.max)}), ${times(ratio.median)} of the base</title></circle>`,
      )}
      <text class="label" x="${RIGHT - 108}" y="${(labels[at] ?? 0) + 4}">${model.name}</text></g>`;
    })}`,
  );
}

const ROW = 26;

/** How many of each class are right. */
export function accuracyByClass(models: readonly ModelReport[], classes: readonly string[]): Markup {
  const size = Math.max(0, ...models.map(({ quality }) => quality.perClass?.length ?? 0));
  const labelled = models
    .map((model, index) => ({ model, index }))
    .filter(({ model }) => model.quality.perClass !== undefined);
  if (size === 0 || size > 60 || labelled.length === 0) return markup``;
  const values = labelled.flatMap(({ model }) => model.quality.perClass?.filter((share) => share !== null) ?? []);
  const x = linearScale(
    values.map((share) => share * 100),
    [130, RIGHT - 12],
  );
  const height = size * ROW + 56;
  const bottom = size * ROW + 8;
  return figure(
    'Right answers by class',
    markup`${x.ticks.map((tick) => markup`<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="4" y2="${bottom}"/><text class="tick" x="${x(tick)}" y="${bottom + 18}" text-anchor="middle">${tick}</text>`)}
    <text class="title" x="${(130 + RIGHT) / 2}" y="${height - 6}" text-anchor="middle">right answers, %</text>
    ${Array.from({ length: size }, (_, row) => {
      const cy = row * ROW + ROW / 2 + 4;
      const shares = labelled.map(({ model }) => model.quality.perClass?.[row] ?? undefined);
      const known = shares.filter((share) => share !== undefined).map((share) => x(share * 100));
      if (known.length === 0) return markup``;
      return markup`<text class="tick" x="120" y="${cy + 4}" text-anchor="end">${classes[row] ?? String(row)}</text>
      <line class="range" x1="${Math.min(...known)}" x2="${Math.max(...known)}" y1="${cy}" y2="${cy}"/>
      ${labelled.map(({ model, index }, at) => {
        const share = shares[at];
        return (
          share !== undefined &&
          markup`<circle class="${colourOf(index)} ${index === 0 ? 'ring' : 'dot'}" cx="${x(share * 100)}" cy="${cy}" r="${index === 0 ? 7 : 4.5}"><title>${model.name}, ${classes[row] ?? String(row)}: ${percent(share)}</title></circle>`
        );
      })}`;
    })}`,
    height,
  );
}

export function legend(models: readonly ModelReport[]): Markup {
  return markup`<ul class="legend">${models.map(
    ({ name }, index) =>
      markup`<li><svg class="${colourOf(index)}" width="14" height="14" aria-hidden="true"><circle class="${index === 0 ? 'ring' : 'dot'}" cx="7" cy="7" r="5"/></svg>${name}</li>`,
  )}</ul>`;
}

/** The largest batch that all were measured with. */
export function largestBatch({ base, candidates }: Pick<Report, 'base' | 'candidates'>): number {
  const sizes = [base, ...candidates]
    .filter(({ speed }) => speed.length > 0)
    .map(({ speed }) => speed.at(-1)?.batch ?? 1);
  return sizes.length === 0 ? 1 : Math.min(...sizes);
}

/** Some room around values that are near each other. */
function padded(values: readonly number[]): number[] {
  const [least, greatest] = [Math.min(...values), Math.max(...values)];
  const room = Math.max((greatest - least) * 0.2, 0.5);
  return [least - room, Math.min(greatest + room, Math.max(100, greatest))];
}
