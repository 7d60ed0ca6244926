/** ModelStreamInfer: the order of its answers, failures in band, and its end. */

import { describe, expect, test } from 'vitest';
import { useServer } from '../support/server-fixture.ts';
import { A, B, BROKEN, loopRequest, rowsOf, SERVED, sumRequest } from './protocol-requests.ts';

const fixture = useServer({ ...SERVED, ...BROKEN }, { flags: ['--log-level', 'silent'] });

describe('ModelStreamInfer', () => {
  const FINAL = { triton_final_response: { bool_param: true, parameter_choice: 'bool_param' } };

  test('answers in the order of the requests: a slow first one holds later ones back', async () => {
    const stream = fixture.client.open('ModelStreamInfer');
    stream.send(loopRequest(1_000, { id: 'slow' }));
    for (const id of ['1', '2', '3']) stream.send(sumRequest({ id }));
    stream.halfClose();
    const answers = await stream.rest();
    expect(answers.map(({ infer_response: { id } }) => id)).toEqual(['slow', '1', '2', '3']);
    expect(await stream.ended).toBe('OK');
  });

  test('answers before the half-close', async () => {
    const stream = fixture.client.open('ModelStreamInfer');
    for (const id of ['1', '2']) {
      stream.send(sumRequest({ id }));
      expect(await stream.next()).toMatchObject({
        error_message: '',
        infer_response: { id, model_name: 'sum', model_version: '1' },
      });
    }
    stream.halfClose();
    expect(await stream.next()).toBeUndefined();
    expect(await stream.ended).toBe('OK');
  });

  test.each([true, false])(
    'marks every answer as the last of its request, also with triton_enable_empty_final_response %s',
    async (flag) => {
      const stream = fixture.client.open('ModelStreamInfer');
      stream.send(sumRequest({ parameters: { triton_enable_empty_final_response: { bool_param: flag } } }));
      stream.halfClose();
      const [answer, ...others] = await stream.rest();
      expect(others).toEqual([]);
      expect(answer?.['infer_response'].parameters).toMatchObject(FINAL);
      expect(rowsOf(answer?.['infer_response'])).toMatchObject({ sum: [11, 22] });
    },
  );

  test('reports a failed request in band, with the text of the unary call and its id, and goes on', async () => {
    const failing = [
      sumRequest({ id: 'a', model_name: 'nope' }),
      sumRequest({ id: 'b', inputs: [{ ...A, shape: [1, 3] }, B] }),
      sumRequest({ id: 'c', model_name: 'broken' }),
    ];
    const stream = fixture.client.open('ModelStreamInfer');
    for (const request of failing) stream.send(request);
    stream.send(sumRequest({ id: 'd' }));
    stream.halfClose();
    const answers = await stream.rest();
    for (const [index, request] of failing.entries()) {
      const { text } = await fixture.client.refusal('ModelInfer', request);
      expect(answers[index]).toMatchObject({
        error_message: text,
        infer_response: { id: request['id'], parameters: {}, outputs: [] },
      });
    }
    expect(answers.at(-1)).toMatchObject({ error_message: '', infer_response: { id: 'd' } });
    expect(answers).toHaveLength(4);
    expect(await stream.ended).toBe('OK');
  });

  test('ends with OK where nothing was asked', async () => {
    const stream = fixture.client.open('ModelStreamInfer');
    stream.halfClose();
    expect(await stream.rest()).toEqual([]);
    expect(await stream.ended).toBe('OK');
  });

  test('carries more requests than it reads ahead', async () => {
    const stream = fixture.client.open('ModelStreamInfer');
    const ids = Array.from({ length: 500 }, (_, index) => String(index));
    for (const id of ids) stream.send(sumRequest({ id }));
    stream.halfClose();
    expect((await stream.rest()).map(({ infer_response: { id } }) => id)).toEqual(ids);
  });
});
