import fc from 'fast-check';
import { expect, test } from 'vitest';
import { markup } from '../../src/compare/page/markup.ts';

test('values are escaped, unless they are markup', () => {
  const name = `<script>alert("1" + '2')</script> & co`;
  expect(markup`<b>${name}</b>${markup`<i>${1.005}</i>`}${[markup`<u/>`, 'a<b']}${undefined}${false}`.text).toBe(
    '<b>&lt;script&gt;alert(&quot;1&quot; + &#39;2&#39;)&lt;/script&gt; &amp; co</b><i>1</i><u/>a&lt;b',
  );
});

test('no text can end an attribute or begin a tag', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(markup`${text}`.text).not.toMatch(/[<>"']/);
    }),
  );
});
