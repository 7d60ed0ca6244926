import assert from 'node:assert/strict';
import { expecting, type Proof, replace } from './proof.ts';
import { INFERENCE, MODEL, rpc } from './requests.ts';
import { ofTrack, sum, Tally } from './tally.ts';

const CALLS = 300;
const RPCS = [
  { client: 'admin', name: 'RepositoryModelUnload', fields: { model_name: 'none-of-that-name' } },
  { client: 'caller', name: 'ModelMetadata', fields: { name: MODEL } },
] as const;

export const controlStable: Proof = {
  name: 'control-stable',
  promise: 'Control and metadata are never split: they go to the stable pods alone.',
  overlay: 'canary',
  async prove(mesh) {
    const seen: string[] = [];
    for (const { client, name, fields } of RPCS) {
      const tally = await Tally.start(mesh, `${INFERENCE}/${name}`);
      await mesh.calls(client, { ...rpc(name, fields), count: CALLS, parallel: 8 });
      const answers = await tally.answers();
      const [stable, canary] = [sum(ofTrack(answers, 'stable')), sum(ofTrack(answers, 'canary'))];
      assert.deepEqual([stable, canary], [CALLS, 0], `${name}: stable ${stable}, canary ${canary}`);
      seen.push(`${name}: stable ${stable}, canary ${canary}`);
    }
    return seen.join('; ');
  },
  mutation: {
    fault: 'the route of control names no subset',
    patches: [
      {
        kind: 'VirtualService',
        name: 'tensorgate',
        operations: [
          expecting('/spec/http/3/name', 'rest'),
          replace('/spec/http/3/route/0/destination', {
            host: 'tensorgate.inference.svc.cluster.local',
            port: { number: 8001 },
          }),
        ],
      },
    ],
  },
};
