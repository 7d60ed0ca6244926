import { expect, test } from 'vitest';
import { outcomeOf, RunFailure } from '../../src/worker/run-failure.ts';

const RUNNING = "Non-zero status code returned while running Expand node. Name:'' Status Message: ";

test.each([
  [
    'the arena of ONNX Runtime',
    `${RUNNING}/bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 4398046511104`,
  ],
  ['the allocator of the C++ library', `${RUNNING}std::bad_alloc`],
  ['a vector of the C++ library', `${RUNNING}vector::_M_default_append`],
  ['a vector that would be longer than any', 'cannot create std::vector larger than max_size()'],
  ['a string that would be longer than any', `${RUNNING}basic_string::_M_create`],
  ['CUDA', `${RUNNING}CUDA failure 2: out of memory ; GPU=0`],
  ['an array buffer of V8', 'Array buffer allocation failed'],
  ['a typed array of V8', 'Invalid typed array length: 17179869184'],
  ['a string of V8', 'Invalid string length'],
])('a lack of memory is distinguished from other failures: %s', (_, text) => {
  expect(outcomeOf(new Error(text))).toEqual({ kind: 'out_of_memory', by: 'batch' });
});

test.each([
  `${RUNNING}invalid expand shape`,
  `${RUNNING}vector::_M_range_check: __n (which is 7) >= this->size() (which is 3)`,
])('a kernel that fails has refused its values: %s', (message) => {
  expect(outcomeOf(new Error(message))).toEqual({ kind: 'refused', message });
});

test.each(['Session already disposed', "the session gave no output 'y'"])(
  'other errors are faults of ours: %s',
  (text) => {
    const error = new Error(text);
    expect(outcomeOf(error)).toEqual({ kind: 'failed', error });
  },
);

test.each(['Unknown failure', 'Invalid argument'])(
  'a string that V8 cannot hold is too large an output: %s',
  (text) => {
    expect(outcomeOf(new Error(text))).toEqual({
      kind: 'outputs_too_large',
      message: 'an output has a string of more than 536870888 bytes',
    });
  },
);

test('a failure that carries its outcome keeps it', () => {
  const outcome = { kind: 'no_room', bytes: 100, message: 'out of memory', isLasting: false } as const;
  expect(outcomeOf(new RunFailure(outcome))).toBe(outcome);
});
