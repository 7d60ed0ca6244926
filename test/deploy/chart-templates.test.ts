/** How builds with different choices become one Helm template. */

import { describe, expect, test } from 'vitest';
import { templateOf } from '../../deploy/helm/emit.ts';
import { block, expression } from '../../deploy/helm/marks.ts';
import { type Case, merge } from '../../deploy/helm/merge.ts';
import type { Choices } from '../../deploy/helm/variants.ts';

const PLAIN: Choices = { canary: 'off', autoscaler: 'off', control: 'off', models: 'image', tls: 'off', mesh: 'none' };

function cases(...values: readonly (readonly [Partial<Choices>, unknown])[]): Case[] {
  return values.map(([choices, value]) => ({ choices: { ...PLAIN, ...choices }, value }));
}

function templateFrom(...values: readonly (readonly [Partial<Choices>, unknown])[]): string {
  return templateOf(merge(cases(...values)));
}

describe('a template', () => {
  test('has no condition where all builds agree', () => {
    const value = { kind: 'Service', spec: { type: 'ClusterIP', ports: [{ name: 'grpc', port: 8001 }] } };
    expect(templateFrom([{}, value], [{ mesh: 'sidecar' }, value])).toBe(
      'kind: Service\nspec:\n  type: ClusterIP\n  ports:\n    - name: grpc\n      port: 8001\n',
    );
  });

  test('has one condition for neighbours that the same builds have', () => {
    expect(templateFrom([{}, { a: 1 }], [{ tls: 'on' }, { a: 1, b: 2, c: 3 }])).toBe(
      'a: 1\n{{- if .Values.tls.enabled }}\nb: 2\nc: 3\n{{- end }}\n',
    );
  });

  test('chooses between values that differ', () => {
    expect(templateFrom([{}, { a: 'x' }], [{ models: 'pvc' }, { a: 'y' }], [{ models: 'uri' }, { a: 'x' }])).toBe(
      '{{- if ne .Values.models.source "pvc" }}\na: x\n{{- else }}\na: "y"\n{{- end }}\n',
    );
  });

  test('combines two conditions where none is enough', () => {
    const template = templateFrom(
      [{}, { a: 1 }],
      [{ tls: 'on' }, { a: 1 }],
      [{ canary: 'on' }, { a: 1 }],
      [
        { canary: 'on', tls: 'on' },
        { a: 1, b: 2 },
      ],
    );
    expect(template).toContain('{{- if and (.Values.canary.enabled) (.Values.tls.enabled) }}\nb: 2\n');
  });

  test('keeps the order of list items, and takes items of the same name for one', () => {
    expect(
      templateFrom(
        [{}, { list: [{ name: 'b', x: 1 }] }],
        [{ canary: 'on' }, { list: [{ name: 'a' }, { name: 'b', x: 1, z: 2 }] }],
      ),
    ).toBe(
      'list:\n  {{- if .Values.canary.enabled }}\n  - name: a\n  {{- end }}\n  - name: b\n    x: 1\n' +
        '    {{- if .Values.canary.enabled }}\n    z: 2\n    {{- end }}\n',
    );
  });

  test('fails where no condition separates the builds', () => {
    expect(() => templateFrom([{}, { a: 1 }], [{}, { a: 2 }])).toThrow('no condition');
  });

  test('has expressions beside text, blocks at their column, and braces of other languages as they are', () => {
    const value = {
      name: expression('.Release.Name'),
      path: `/${expression('.Values.x')}/*`,
      [block('{{- with .Values.y }}', 'y: {{ toYaml . | nindent @2 }}', '{{- end }}')]: true,
      text: 'pod {{ $labels.pod }}',
      flag: 'off',
    };
    expect(templateFrom([{}, { spec: value }])).toBe(
      `spec:
  name: {{ .Release.Name }}
  path: '/{{ .Values.x }}/*'
  {{- with .Values.y }}
  y: {{ toYaml . | nindent 4 }}
  {{- end }}
  text: 'pod {{ "{{" }} $labels.pod }}'
  flag: "off"
`,
    );
  });
});
