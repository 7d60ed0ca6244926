import { expect, test } from 'vitest';
import { RunFailure } from '../../src/worker/run-failure.ts';

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
])('a want of memory is distinguished from other faults: %s', (_, text) => {
  expect(RunFailure.from(new Error(text)).fault).toBe('memory');
});

test.each([
  ['data', `${RUNNING}invalid expand shape`],
  ['data', `${RUNNING}vector::_M_range_check: __n (which is 7) >= this->size() (which is 3)`],
  ['internal', 'Session already disposed'],
  ['internal', "the session gave no output 'y'"],
] as const)('a fault is %s: %s', (fault, text) => {
  expect(RunFailure.from(new Error(text)).fault).toBe(fault);
});

test.each(['Unknown failure', 'Invalid argument'])(
  'a string that V8 cannot hold is too large an output: %s',
  (text) => {
    expect(RunFailure.from(new Error(text))).toMatchObject({
      fault: 'outputs',
      message: 'an output has a string of more than 536870888 bytes',
    });
  },
);

test('a failure that says what it is stays what it is', () => {
  const failure = new RunFailure('room', 'out of memory', 100);
  expect(RunFailure.from(failure)).toBe(failure);
});
