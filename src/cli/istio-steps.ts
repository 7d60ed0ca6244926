/**
 * The steps of a rollout behind a mesh, where versions are Deployments and the routes of a VirtualService lead to them: a JSON
 * patch (RFC 6902) each, for what deploy/istio/overlays/sidecar-canary builds.
 */

export interface IstioRollout {
  readonly model: string;
  readonly to: string;
  /** Share of ModelInfer that is copied. */
  readonly shadowShare: number;
  /** In percent; Istio only takes whole numbers. */
  readonly steps: readonly number[];
  readonly holdMs: number;
  readonly maxErrorRate: number;
  readonly maxP99Ratio: number;
}

export interface IstioStep {
  /** `shadow`, `canary-10`, `promote`, `rollback` */
  readonly name: string;
  /** Lines that say its effect, its preconditions, and its checks afterwards. */
  readonly text: readonly string[];
  readonly patch: readonly Operation[];
}

type Operation =
  | { readonly op: 'test' | 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

const HOST = 'tensorgate.inference.svc.cluster.local';
/** The routes with weights, by their places behind `canary-by-header`. */
const INFER = { path: '/spec/http/1', name: 'infer' } as const;
const STREAM = { path: '/spec/http/2', name: 'stream' } as const;

/** In the order in which they are applied; the last takes back whichever was. */
export function istioSteps(rollout: IstioRollout): readonly IstioStep[] {
  const { model, to, shadowShare, steps, holdMs } = rollout;
  const share = Number((shadowShare * 100).toFixed(3));
  return [
    {
      name: 'shadow',
      text: [
        `Copies of ${share} % of ModelInfer go to the canary; clients notice nothing.`,
        `Before: the Deployment tensorgate-canary serves version ${to} of ${model} and is available (its own models and image).`,
        'A route is about calls, not about models: all that these pods serve goes along.',
        'After: no errors and no restarts of the canary. Envoy compares no answers: whether they agree is in the report.json of the',
        "version, or is measured by the gateway's own shadow (docs/traffic.md).",
      ],
      patch: [
        ...weights(0),
        {
          op: 'add',
          path: `${INFER.path}/mirrors`,
          value: [{ destination: destination('canary'), percentage: { value: share } }],
        },
      ],
    },
    ...steps.map(
      (percent): IstioStep => ({
        name: `canary-${percent}`,
        text: [
          `The canary answers ${percent} % of the calls.`,
          `After ${holdMs / 1000} s these have results (components/monitoring scrapes with the label track), or apply rollback:`,
          ...evidence(rollout, percent),
        ],
        patch: [...weights(percent), ...noMirror()],
      }),
    ),
    {
      name: 'promote',
      text: [
        'All calls go to the stable Deployment again, which has the new version by then.',
        'Before: give the Deployment tensorgate the image and the models of tensorgate-canary, and wait for',
        'kubectl -n inference rollout status deployment/tensorgate',
      ],
      patch: [...weights(0), ...noMirror()],
    },
    {
      name: 'rollback',
      text: ['All calls go to the stable Deployment, and no copies to the canary: from whichever step, at once.'],
      patch: [...weights(0), ...noMirror()],
    },
  ];
}

/** Documents of YAML, each a patch under its comment. */
export function formatSteps(steps: readonly IstioStep[]): string {
  return steps.map(formatStep).join('---\n');
}

function formatStep({ name, text, patch }: IstioStep): string {
  const comment = [`# ${name}`, ...text.map((line) => `#   ${line}`)];
  return `${[...comment, ...patch.map((operation) => `- ${formatOperation(operation)}`)].join('\n')}\n`;
}

/** As the manifests have it: `{ op: test, path: /spec/http/1/name, value: infer }`. A value of JSON is one of YAML, too. */
function formatOperation(operation: Operation): string {
  const fields = [`op: ${operation.op}`, `path: ${operation.path}`];
  if (operation.op !== 'remove') fields.push(`value: ${JSON.stringify(operation.value)}`);
  return `{ ${fields.join(', ')} }`;
}

/** A share of the calls for the canary, and the rest for the stable one. Fails as a whole where the routes are others. */
function weights(percent: number): readonly Operation[] {
  return [INFER, STREAM].flatMap(({ path, name }) => [
    { op: 'test', path: `${path}/name`, value: name },
    ...weight(`${path}/route/0`, 'stable', 100 - percent),
    ...weight(`${path}/route/1`, 'canary', percent),
  ]);
}

function weight(path: string, subset: 'stable' | 'canary', percent: number): readonly Operation[] {
  return [
    { op: 'test', path: `${path}/destination/subset`, value: subset },
    { op: 'replace', path: `${path}/weight`, value: percent },
  ];
}

function destination(subset: 'stable' | 'canary'): object {
  return { host: HOST, port: { number: 8001 }, subset };
}

/** Whether the route has mirrors: only an existing field can be removed. */
function noMirror(): readonly Operation[] {
  return [
    { op: 'add', path: `${INFER.path}/mirrors`, value: [] },
    { op: 'remove', path: `${INFER.path}/mirrors` },
  ];
}

/** Queries for Prometheus; each must have a result. They use gRPC's status, because a failed call is HTTP 200. */
function evidence({ model, maxErrorRate, maxP99Ratio, holdMs }: IstioRollout, percent: number): readonly string[] {
  const window = `${Math.max(60, Math.ceil(holdMs / 1000))}s`;
  const failing = (track: string): string => {
    const of = (more: string): string =>
      `sum(rate(tensorgate_requests_total{model="${model}",track="${track}"${more}}[${window}]))`;
    return `(${of(',status=~"INTERNAL|UNAVAILABLE|RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED"')} or vector(0)) / ${of('')}`;
  };
  const p99 = (track: string): string =>
    `histogram_quantile(0.99, sum by (le) (rate(tensorgate_request_duration_seconds_bucket{model="${model}",track="${track}"}[${window}])))`;
  // At 100 %, no other version answers.
  if (percent === 100) return [`${failing('canary')} <= ${maxErrorRate}`];
  return [
    `${failing('canary')} <= ${maxErrorRate} + ${failing('stable')}`,
    `${p99('canary')} <= ${maxP99Ratio} * ${p99('stable')}`,
  ];
}
