import { expect, test } from 'vitest';
import { type UnreadAnswer, UnreadAnswers } from '../../../../src/gateway/accept/http/unread-answers.ts';

class FakeAnswer implements UnreadAnswer {
  readonly bytes: number;
  movedAt: number;
  isCut = false;

  constructor(bytes: number, movedAt: number) {
    this.bytes = bytes;
    this.movedAt = movedAt;
  }

  cut(): void {
    this.isCut = true;
  }
}

test('answers are held up to the limit, and give their room back', () => {
  const answers = new UnreadAnswers(100);
  const first = new FakeAnswer(60, 0);
  expect(answers.add(first, 0)).toBe(true);
  expect(answers.add(new FakeAnswer(60, 0), 0)).toBe(false);
  expect(answers.bytes).toBe(60);
  answers.remove(first);
  answers.remove(first);
  expect(answers.bytes).toBe(0);
  expect(answers.add(new FakeAnswer(100, 0), 0)).toBe(true);
});

test('for a new answer, those that stand still longest are cut, and no more of them than it needs', () => {
  const answers = new UnreadAnswers(100);
  const [oldest, older, moving] = [new FakeAnswer(40, 0), new FakeAnswer(30, 1), new FakeAnswer(30, 9_500)];
  for (const answer of [older, moving, oldest]) answers.add(answer, 0);
  expect(answers.add(new FakeAnswer(50, 10_000), 10_000)).toBe(true);
  expect([oldest, older, moving].map(({ isCut }) => isCut)).toEqual([true, true, false]);
  expect(answers.bytes).toBe(80);
});

test('an answer that moves is never cut: the new one has no room', () => {
  const answers = new UnreadAnswers(100);
  const moving = new FakeAnswer(80, 9_500);
  answers.add(moving, 0);
  expect(answers.add(new FakeAnswer(30, 10_000), 10_000)).toBe(false);
  expect(moving.isCut).toBe(false);
});
