/** Panels of Grafana, as far as the dashboard uses them. */

export type Unit = 's' | 'bytes' | 'Bps' | 'reqps' | 'percentunit' | 'percent' | 'short' | 'none';

export interface Query {
  readonly expr: string;
  /** With `{{label}}` for its value. */
  readonly legend: string;
  /** Asks for exemplars too: the traces of single calls. */
  readonly exemplars?: boolean;
}

export interface PanelPlan {
  readonly title: string;
  /** What the panel answers, and what to look at next. */
  readonly description: string;
  readonly queries: readonly Query[];
  readonly unit: Unit;
  /** In columns; a row has 24 of them. Default 8. */
  readonly width?: number;
  /** Values add up to a whole. */
  readonly stacked?: boolean;
  /** Upper end of the axis. */
  readonly max?: number;
}

export interface RowPlan {
  readonly title: string;
  /** Closed rows load when they are opened. */
  readonly collapsed: boolean;
  readonly panels: readonly PanelPlan[];
}

/** The variable of the dashboard by which readers choose among their servers of Prometheus. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills it in
export const DATASOURCE = { type: 'prometheus', uid: '${datasource}' } as const;
const COLUMNS = 24;
const HEIGHT = 8;

/** The rows one below the other, as objects of Grafana's JSON model. */
export function layOut(rows: readonly RowPlan[]): readonly object[] {
  let id = 0;
  let y = 0;
  const laid: object[] = [];
  for (const { title, collapsed, panels } of rows) {
    const row = { id: ++id, type: 'row', title, collapsed, gridPos: { h: 1, w: COLUMNS, x: 0, y: y++ } };
    let x = 0;
    const placed = panels.map((plan) => {
      const { width = 8 } = plan;
      if (x + width > COLUMNS) {
        x = 0;
        y += HEIGHT;
      }
      const gridPos = { h: HEIGHT, w: width, x, y };
      x += width;
      return { id: ++id, gridPos, ...panelOf(plan) };
    });
    y += HEIGHT;
    laid.push(...(collapsed ? [{ ...row, panels: placed }] : [{ ...row, panels: [] }, ...placed]));
  }
  return laid;
}

function panelOf({ title, description, queries, unit, stacked = false, max }: PanelPlan): object {
  const custom = {
    drawStyle: 'line',
    lineWidth: 1,
    fillOpacity: stacked ? 40 : 0,
    showPoints: 'never',
    spanNulls: false,
    stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
  };
  return {
    type: 'timeseries',
    title,
    description,
    datasource: DATASOURCE,
    fieldConfig: { defaults: { unit, min: 0, ...(max !== undefined && { max }), custom }, overrides: [] },
    options: {
      legend: { displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull', 'max'] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
    targets: queries.map(({ expr, legend, exemplars = false }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      range: true,
      exemplar: exemplars,
    })),
  };
}
