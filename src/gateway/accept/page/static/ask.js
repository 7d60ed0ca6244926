/** How a program asks a model, in four languages, from its metadata. */

/** @import { ModelSnapshot } from '../snapshot.ts' */

import { copyButton } from './marks.js';
import { h } from './markup.js';

export const LANGUAGES = ['TypeScript', 'curl', 'grpcurl', 'Python'];

/** @type {Readonly<Record<string, readonly [element: string, array: string]>>} */
const NUMPY = {
  FP32: ['1.0', 'np.float32'],
  FP64: ['1.0', 'np.float64'],
  FP16: ['1.0', 'np.float16'],
  BOOL: ['True', 'np.bool_'],
  BYTES: ["b'text'", 'np.object_'],
};

/**
 * The inputs of one request: what the server has made up, or one row of what the metadata says.
 * @param {ModelSnapshot} model
 */
export function exampleInputs({ sample, inputs }) {
  return (
    sample ??
    inputs.map(({ name, datatype, shape }) => ({
      name,
      datatype,
      shape: shape.map((size) => (size < 0 ? 1 : size)),
      value: 0,
    }))
  );
}

/**
 * @param {ModelSnapshot} model
 * @param {{ readonly grpc: string, readonly http: string }} addresses
 * @returns {Readonly<Record<string, string>>}
 */
export function samples(model, { grpc, http }) {
  const inputs = exampleInputs(model);
  const output = model.outputs[0]?.name ?? 'output';
  const identifier = (/** @type {string} */ name) => (/^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name));
  const body = JSON.stringify({
    inputs: inputs.map(({ name, datatype, shape, value }) => ({
      name,
      datatype,
      shape,
      data: dataOf(datatype, shape, value),
    })),
  });
  return {
    TypeScript: `import { InferenceClient, tensor }
  from 'tensorgate/client';

using client = new InferenceClient('${grpc}', {
  deadlineMs: 500,
});
const { outputs } = await client.infer(${quoted(model.name)}, {
${inputs.map(({ name, datatype, shape }) => `  ${identifier(name)}: tensor.${datatype.toLowerCase()}(${datatype === 'BYTES' ? 'texts' : 'values'}, [${shape.join(', ')}]),`).join('\n')}
});
outputs.get(${quoted(output)})?.data;`,
    curl:
      body.length > 500
        ? `curl -s http://${http}/v2/models/${encodeURIComponent(model.name)}
# and with a request in a file:
curl -s --json @request.json \\
  http://${http}/v2/models/${encodeURIComponent(model.name)}/infer`
        : `curl -s --json '${body.replaceAll("'", "'\\''")}' \\
  http://${http}/v2/models/${encodeURIComponent(model.name)}/infer`,
    grpcurl: `grpcurl -plaintext -d '{"name": ${JSON.stringify(model.name)}}' ${grpc} \\
  inference.GRPCInferenceService/ModelMetadata`,
    Python: `import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient('${grpc}')
${inputs.map(({ name, datatype, shape }, at) => `x${at} = triton.InferInput(${quoted(name)}, [${shape.join(', ')}], '${datatype}')\nx${at}.set_data_from_numpy(np.full((${shape.join(', ')}${shape.length === 1 ? ',' : ''}), ${NUMPY[datatype]?.[0] ?? '1'}, ${NUMPY[datatype]?.[1] ?? `np.${datatype.toLowerCase()}`}))`).join('\n')}
answer = client.infer(${quoted(model.name)}, [${inputs.map((_, at) => `x${at}`).join(', ')}])
answer.as_numpy(${quoted(output)})`,
  };
}

/** @param {string} text */
function quoted(text) {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/**
 * @param {string} datatype
 * @param {readonly number[]} shape
 * @param {number} value
 */
function dataOf(datatype, shape, value) {
  const elements = shape.reduce((all, size) => all * size, 1);
  const element = datatype === 'BYTES' ? 'a' : datatype === 'BOOL' ? value !== 0 : value;
  // A long example helps no one.
  return Array.from({ length: Math.min(elements, 400) }, () => element);
}

/**
 * @param {ModelSnapshot} model
 * @param {{ readonly grpc: string, readonly http: string }} addresses
 * @param {string} language
 */
export function askCard(model, addresses, language) {
  const code = samples(model, addresses)[language] ?? '';
  const tabs = LANGUAGES.map(
    (name) =>
      h`<button type="button" role="tab" id="tab-${name}" data-tab="${name}" aria-selected="${String(name === language)}" aria-controls="code" tabindex="${name === language ? 0 : -1}">${name}</button>`,
  );
  return h`<section class="card ask" aria-labelledby="ask"><h2 id="ask">Ask ${model.name} from your program</h2><div class="tabs"><div role="tablist" aria-label="Language">${tabs}</div>${copyButton(code, 'the code')}</div><pre id="code" role="tabpanel" tabindex="0" aria-labelledby="tab-${language}"><code>${code}</code></pre></section>`;
}
