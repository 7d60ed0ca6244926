/** The snapshot that is shown, and how an update changes it. */

/**
 * @import { FiguresSnapshot, ModelSnapshot, PointSnapshot, ServerSnapshot, ServerUpdate, VersionSnapshot } from '../snapshot.ts'
 */

const RUNS = 160;

/**
 * Changes nothing that it is given.
 * @param {ServerSnapshot} snapshot
 * @param {ServerUpdate} update
 * @returns {ServerSnapshot}
 */
export function withUpdate(snapshot, update) {
  const { at_ms, server, events } = update;
  const models = snapshot.models.map((model) => {
    const changed = update.versions.filter(({ model: name }) => name === model.name);
    const rollout = update.rollouts.find(({ model: name }) => name === model.name) ?? model.rollout;
    if (changed.length === 0 && rollout === model.rollout) return model;
    const versions = model.versions.map((version) => {
      const found = changed.find(({ version: number }) => number === version.version);
      if (found === undefined) return version;
      return { ...version, live: found.live, figures: merged(version.figures, found.figures, server.points) };
    });
    return { ...model, rollout, versions };
  });
  // The revision stays: a reader sees by it that it has to ask for the whole.
  return { revision: snapshot.revision, at_ms, server, events, models };
}

/**
 * @param {FiguresSnapshot | null} before
 * @param {FiguresSnapshot | null} news
 * @param {number} kept
 */
function merged(before, news, kept) {
  if (before === null || news === null) return news;
  const first = news.points[0]?.[0] ?? Number.POSITIVE_INFINITY;
  const points = [...before.points.filter(([slot]) => slot < first), ...news.points].slice(-kept);
  const known = new Set(before.runs.map(keyOf));
  const runs = [...before.runs, ...news.runs.filter((run) => !known.has(keyOf(run)))].slice(-RUNS);
  return { ...news, points, runs };
}

/** @param {FiguresSnapshot['runs'][number]} run */
function keyOf([at, rows, , ms]) {
  return `${at} ${rows} ${ms}`;
}

/**
 * One value for each stretch of time that the server remembers, oldest first; the stretch that is not over is left out.
 * @template Value
 * @param {VersionSnapshot} version
 * @param {ServerSnapshot} snapshot
 * @param {(point: PointSnapshot) => Value} read
 * @param {Value} none for a stretch in which nothing happened
 * @returns {Value[]}
 */
export function seriesOf({ figures }, { server, at_ms }, read, none) {
  const bySlot = new Map((figures?.points ?? []).map((point) => [point[0], point]));
  const last = Math.floor(at_ms / server.point_ms) - 1;
  return Array.from({ length: server.points - 1 }, (_, index) => {
    const point = bySlot.get(last - server.points + 2 + index);
    return point === undefined ? none : read(point);
  });
}

/**
 * Percent of the requests without a version.
 * @param {ModelSnapshot} model
 * @param {VersionSnapshot} version
 */
export function shareOf(model, { version }) {
  if (Object.keys(model.split).length > 0) return model.split[version] ?? 0;
  return model.default_version === version ? 100 : 0;
}

/**
 * The versions that are asked, most first.
 * @param {ModelSnapshot} model
 */
export function busiest(model) {
  return model.versions
    .filter(({ figures }) => (figures?.latency?.count ?? 0) > 0)
    .sort((a, b) => (b.figures?.latency?.count ?? 0) - (a.figures?.latency?.count ?? 0));
}
