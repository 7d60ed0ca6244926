/** The dashboard as Grafana imports it. */

import { DATASOURCE, layOut } from './panel.ts';
import { series } from './query.ts';
import { ROWS } from './rows.ts';

export const DASHBOARD_FILE = 'deploy/grafana/tensorgate.json';

/** A choice of values of a label, all by default. Without the label, as outside of Kubernetes, all of them match. */
function variable(name: string, expression: string): object {
  const query = `label_values(${expression}, ${name})`;
  return {
    name,
    type: 'query',
    datasource: DATASOURCE,
    query: { query, refId: 'variable' },
    definition: query,
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  };
}

export function dashboard(): string {
  const model = {
    uid: 'tensorgate',
    title: 'tensorgate',
    description: 'Made by `npm run grafana` from the metrics of the gateway. docs/metrics.md explains each of them.',
    tags: ['tensorgate', 'inference'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', current: {} },
        variable('namespace', 'tensorgate_model_ready'),
        variable('model', 'tensorgate_model_ready{namespace=~"$namespace"}'),
        variable('version', series('tensorgate_model_ready').replace(/,version=~"[^"]*"/, '')),
      ],
    },
    panels: layOut(ROWS),
  };
  return `${JSON.stringify(model, null, 2)}\n`;
}
