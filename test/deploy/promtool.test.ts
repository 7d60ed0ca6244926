/** The alerts and recorded series of deploy/istio, judged by Prometheus's own tool: they are read, and they fire when they should. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { promtool } from '../tools/tools.ts';
import { RULE_GROUPS } from './recorded-rules.ts';

const program = promtool();
if (program === undefined) console.warn('SKIPPED: promtool is not installed (test/tools/setup.sh does)');

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-rules-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

function judge(...args: string[]): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(program ?? '', args, { encoding: 'utf8', cwd: folder });
  return { status, output: `${stdout}${stderr}` };
}

/** An hour of a server that answers 10 requests a second, and refuses some more. */
function hourWith(refusedEachMinute: number): object {
  const labels = 'namespace="inference",model="m",version="1"';
  return {
    interval: '1m',
    input_series: [
      { series: `tensorgate_requests_total{${labels},status="OK",reason="none"}`, values: '0+600x60' },
      {
        series: `tensorgate_requests_total{${labels},status="RESOURCE_EXHAUSTED",reason="queue_full"}`,
        values: `0+${refusedEachMinute}x60`,
      },
      { series: `tensorgate_model_ready{${labels},pod="p"}`, values: '1+0x60' },
    ],
  };
}

describe.skipIf(program === undefined)('promtool', () => {
  test('reads every rule', () => {
    fs.writeFileSync(path.join(folder, 'rules.yaml'), stringify(RULE_GROUPS));
    const rules = RULE_GROUPS.groups.flatMap((group) => group.rules).length;
    const { status, output } = judge('check', 'rules', 'rules.yaml');
    expect(output).toContain(`SUCCESS: ${rules} rules found`);
    expect(status).toBe(0);
  });

  test('fires TensorgateSheds for refusals that last, not for few, and records their share', () => {
    fs.writeFileSync(path.join(folder, 'rules.yaml'), stringify(RULE_GROUPS));
    const shed = (refused: number, alerts: readonly object[]) => ({
      ...hourWith(refused),
      alert_rule_test: [{ eval_time: '40m', alertname: 'TensorgateSheds', exp_alerts: alerts }],
      promql_expr_test: [
        {
          expr: 'tensorgate:refused:ratio5m',
          eval_time: '40m',
          exp_samples: [
            {
              labels: 'tensorgate:refused:ratio5m{namespace="inference", model="m"}',
              value: refused / (600 + refused),
            },
          ],
        },
      ],
    });
    const firing = {
      exp_labels: { severity: 'page', model: 'm' },
      exp_annotations: {
        summary: '20% of the requests for m are refused for want of capacity',
        runbook_url: 'https://example.com/tensorgate/docs/runbook.md#tensorgatesheds',
      },
    };
    const suite = { rule_files: ['rules.yaml'], evaluation_interval: '1m', tests: [shed(150, [firing]), shed(0, [])] };
    fs.writeFileSync(path.join(folder, 'suite.yaml'), stringify(suite));
    expect(judge('test', 'rules', 'suite.yaml')).toEqual({ status: 0, output: expect.stringContaining('SUCCESS') });
  });
});
